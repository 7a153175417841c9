"""Questions and answers in the terminal, for scripts/ask.py."""

import argparse
from contextlib import suppress
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from peft import PeftModel
from transformers import PreTrainedTokenizerBase, TextStreamer

from space import sources
from space.contract import Contract, Message, load_contract
from space.prompt import encode_prompt, with_disclaimer, without_disclaimer
from training import bases
from training.configs import is_local
from training.model.generate import greedy
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device, pick_precision
from training.network import plain_errors
from training.outputs import read_json


def main(options: argparse.Namespace) -> None:
    if options.sources:
        sources.load(options.sources)
    model, tokenizer, contract = load(options.adapter, options.revision)
    if options.question is not None:
        answer(model, tokenizer, contract, [], options.question)
    else:
        chat(model, tokenizer, contract)


def load(adapter: str, revision: str | None) -> tuple[PeftModel, PreTrainedTokenizerBase, Contract]:
    """The adapter on its base, tokenizer and contract; raises FileNotFoundError naming what is missing."""
    folder = Path(adapter) if Path(adapter).is_dir() else download(adapter, revision)
    config = read_json(folder / "adapter_config.json", "python -m training train CONFIG")
    contract = load_contract(folder / "contract.toml")
    base = base_folder(folder, config["base_model_name_or_path"], config.get("revision"))
    device = pick_device()
    precision = pick_precision("auto" if device == "cuda" else "fp32", device)
    return load_adapter(load_base(base, precision, device), folder, device), load_tokenizer(folder), contract


def base_folder(adapter: Path, model: str, revision: str | None) -> Path:
    """The folder of the base: as the run recorded it, else as the adapter names it, or in the Hub's cache."""
    if folder := bases.remembered_folder(adapter):
        return folder
    return bases.local_folder(model) if is_local(model) else bases.download(model, revision or "main")


def download(adapter: str, revision: str | None) -> Path:
    """The files of an adapter on the Hub; raises like `plain_errors`."""
    with plain_errors(f"{adapter} is no folder here"):
        return Path(snapshot_download(adapter, revision=revision))


def chat(model: PeftModel, tokenizer: PreTrainedTokenizerBase, contract: Contract) -> None:
    """Answer until an empty line or the end of input; the model sees as many turns as the contract allows."""
    print("Not medical advice, not for emergencies. An empty line ends the chat.")
    history: list[Message] = []
    with suppress(EOFError):
        while question := input("\n> ").strip():
            reply = answer(model, tokenizer, contract, history, question)
            history += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def answer(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, contract: Contract, history: list[Message], question: str
) -> str:
    """Stream the answer to the terminal, with the disclaimer once at the end, then the pages that fit; return it.

    Raises ValueError if the question is empty or longer than the contract allows.
    """
    if not 0 < len(question) <= contract.limits.max_question_chars:
        raise ValueError(
            f"the question has {len(question):,} characters: 1 to {contract.limits.max_question_chars:,} can be asked"
        )
    turns = [*history, {"role": "user", "content": question}][1 - 2 * contract.limits.max_turns :]
    ids = torch.tensor([encode_prompt(tokenizer, turns, contract)], device=model.device)
    printer = AnswerPrinter(tokenizer, contract)
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        generation_config=greedy(model, tokenizer, contract.decoding.max_new_tokens),
        streamer=printer,
    )
    if (pages := sources.pages(question)) is not None:
        print(f"\nPages that fit (links of {sources.YEAR}):" if pages else "\nNo page found for this.")
        for page in pages:
            print(f"- {page.title} ({page.publisher})\n  {page.url}".rstrip())
    return with_disclaimer(printer.text, contract)


class AnswerPrinter(TextStreamer):
    """Prints an answer as it comes, but holds back as many characters as the beginning of a disclaimer may have."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, contract: Contract) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.contract = contract
        self.text = ""
        self.printed = 0

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.text += text
        visible = (with_disclaimer if stream_end else without_disclaimer)(self.text, self.contract)
        ready = len(visible) if stream_end else max(self.printed, len(visible) - len(self.contract.disclaimer) - 2)
        print(visible[self.printed : ready], end="\n" if stream_end else "", flush=True)
        self.printed = ready
