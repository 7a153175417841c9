"""Ask an adapter in the terminal: `ask.py ADAPTER "What are the symptoms of diabetes?"`, or a chat without a question.

ADAPTER is a folder (…/adapter or …/bundle) or a Hub id. Answers are greedy, as they are scored, and end in the
disclaimer exactly once. Nothing that is typed is stored.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from training.command import run

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from space.contract import Contract, Message


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="ask.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("adapter", metavar="ADAPTER", help="a folder with an adapter, or a Hub id (owner/name)")
    arguments.add_argument("question", nargs="?", metavar="QUESTION", help="one question; without it a chat begins")
    arguments.add_argument("--revision", help="tag or commit of a Hub id")
    options = arguments.parse_args()
    model, tokenizer, contract = load(options.adapter, options.revision)
    if options.question is not None:
        answer(model, tokenizer, contract, [], options.question)
    else:
        chat(model, tokenizer, contract)


def load(adapter: str, revision: str | None) -> "tuple[PeftModel, PreTrainedTokenizerBase, Contract]":
    """Adapter on its base, tokenizer and contract; raises FileNotFoundError naming what is missing."""
    from space.contract import load_contract
    from training.outputs import read_json

    folder = Path(adapter)
    if not folder.is_dir():
        folder = download(adapter, revision)
    config = read_json(folder / "adapter_config.json", "python -m training.train CONFIG")
    contract = load_contract(folder / "contract.toml")
    base = base_folder(folder, config["base_model_name_or_path"], config.get("revision"))
    # takes torch along, seconds that whoever named what can't be had needn't wait for
    from training.model.load import load_adapter, load_base, load_tokenizer, pick_device, pick_precision

    device = pick_device()
    precision = pick_precision("auto" if device == "cuda" else "fp32", device)
    return load_adapter(load_base(base, precision, device), folder, device), load_tokenizer(folder), contract


def base_folder(adapter: Path, model: str, revision: str | None) -> Path:
    """The folder of an adapter's base: where the run remembers it, upwards from the adapter, or the Hub's cache."""
    from training.bases import commit_of, download, existing, remembered_folder
    from training.configs import is_local

    if folder := remembered_folder(adapter):
        return folder
    if is_local(model):
        above = (parent / model for parent in adapter.resolve().parents)
        return next((folder for folder in above if (folder / "config.json").is_file()), None) or existing(model)
    return download(model, revision or commit_of(model, "main"))


def download(adapter: str, revision: str | None) -> Path:
    """A Hub adapter's files; raises FileNotFoundError where neither a folder nor a Hub id is named."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(adapter, revision=revision))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise FileNotFoundError(f"{adapter} is neither a folder here nor an adapter on the Hub") from error
    except OSError as error:
        raise FileNotFoundError(
            f"{adapter} is no folder here and can't be fetched from the Hub ({type(error).__name__}): check the name "
            "and the network"
        ) from error


def chat(model: "PeftModel", tokenizer: "PreTrainedTokenizerBase", contract: "Contract") -> None:
    """Ask until an empty line or the end of input; the model sees the last turns that the contract allows."""
    print("Not medical advice, not for emergencies. An empty line ends the chat.")
    history: list[Message] = []
    while True:
        try:
            question = input("\n> ").strip()
        except EOFError:
            return
        if not question:
            return
        reply = answer(model, tokenizer, contract, history, question)
        history += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def answer(
    model: "PeftModel",
    tokenizer: "PreTrainedTokenizerBase",
    contract: "Contract",
    history: "list[Message]",
    question: str,
) -> str:
    """Print the answer as it is generated, the disclaimer once at its end, and return it.

    Raises ValueError if the question is empty or longer than the contract allows.
    """
    import torch

    from space.prompt import encode_prompt, with_disclaimer
    from training.model.generate import greedy

    if not 0 < len(question) <= contract.limits.max_question_chars:
        raise ValueError(
            f"the question has {len(question):,} characters: 1 to {contract.limits.max_question_chars:,} can be asked"
        )
    turns = [*history, {"role": "user", "content": question}][1 - 2 * contract.limits.max_turns :]
    ids = torch.tensor([encode_prompt(tokenizer, turns, contract)], device=model.device)
    printer = answer_printer(tokenizer, contract)
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        generation_config=greedy(model, tokenizer, contract.decoding.max_new_tokens),
        streamer=printer,
    )
    return with_disclaimer(printer.text, contract)


def answer_printer(tokenizer: "PreTrainedTokenizerBase", contract: "Contract"):
    """A streamer that prints words as they come, holding back as many characters as a disclaimer could begin in."""
    from transformers import TextStreamer

    from space.prompt import with_disclaimer, without_disclaimer

    class AnswerPrinter(TextStreamer):
        text = ""
        printed = 0

        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            self.text += text
            shown = with_disclaimer(self.text, contract) if stream_end else without_disclaimer(self.text, contract)
            ready = len(shown) if stream_end else max(self.printed, len(shown) - len(contract.disclaimer) - 2)
            print(shown[self.printed : ready], end="\n" if stream_end else "", flush=True)
            self.printed = ready

    return AnswerPrinter(tokenizer, skip_prompt=True, skip_special_tokens=True)


if __name__ == "__main__":
    run(main)
