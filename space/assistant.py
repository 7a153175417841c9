"""Load base and adapter, and write answers token by token. The only file here that needs torch."""

import copy
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from contract import load_contract
from history import Draft
from peft import PeftModel
from prompt import encode_prompt, end_of_turn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.utils import logging

if TYPE_CHECKING:
    from contract import Contract, Message
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BOTH = 3.5e9  # parameters up to which the base is served beside the tuned model: Llama 3.2's "3B" has 3.2e9
PIECE = {"cpu": 32, "cuda": 1024}  # tokens of a prompt read at once: on two cores, Stop waits for one piece
logging.disable_progress_bar()
# PEFT asks a model for a name that transformers has given up; nothing that a user could change.
warnings.filterwarnings("ignore", message=".is_gradient_checkpointing. is deprecated", category=FutureWarning)


@dataclass(frozen=True)
class Assistant:
    """Tuned and base are two models: switching one adapter on and off would cross two people's answers.

    Twice 2.5 GB at one billion parameters in half precision. `ends`: token ids that end an answer.
    """

    models: "dict[str, PreTrainedModel]"  # "tuned", and "base" up to BOTH parameters
    tokenizer: "PreTrainedTokenizerBase"
    contract: "Contract"
    ends: frozenset[int]

    @property
    def parameters(self) -> int:
        return self.models["tuned"].num_parameters()

    @torch.inference_mode()
    def write(self, name: str, messages: "list[Message]", length: int, temperature: float) -> Iterator[Draft]:
        """Drafts of one answer, one more token each, and some empty ones while the prompt is read.

        Closing the iterator ends the work at once: `generate` in a thread of its own with a streamer
        would write on, and hang its reader when it fails.
        """
        model = self.models[name]
        if torch.cuda.is_available() and model.device.type == "cpu":
            # reloaded on ZeroGPU, where only a worker has the GPU
            model.to("cuda")  # type: ignore[arg-type]  # its wrapper loses `self`
        ids = torch.tensor([fit(self, messages, length)], device=model.device)  # [1, tokens]
        decoding = self.contract.decoding
        # as `generate` processes logits, in its order
        repetition = RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty)
        process = LogitsProcessorList(
            [repetition, TemperatureLogitsWarper(temperature), TopPLogitsWarper(decoding.top_p)]
        )
        cache = DynamicCache(config=model.config)
        for piece in ids.split(PIECE[model.device.type], dim=1):
            logits = model(piece, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            yield Draft("")
        chance = torch.Generator(model.device)
        chance.seed()  # workers that ZeroGPU forks would all draw the same
        written: list[int] = []
        text = ""
        for _ in range(length):
            scores = process(cast("torch.LongTensor", ids), cast("torch.FloatTensor", logits[:, -1].float()))
            token = torch.multinomial(scores.softmax(-1), 1, generator=chance)
            if int(token) in self.ends:
                yield Draft(text, "ended")
                return
            written.append(int(token))
            text = str(self.tokenizer.decode(written, skip_special_tokens=True))
            yield Draft(text.rstrip("\ufffd"))  # half a character: the rest of it is the next token
            ids = torch.cat([ids, token], dim=1)
            logits = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        yield Draft(text, "cut")


def load(adapter: Path, base: Path, device: str) -> Assistant:
    """Base and merged adapter on one device; raises OSError or ValueError where they don't belong together."""
    contract = load_contract(adapter / "contract.toml")
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    check_golden(adapter / "golden.json", tokenizer, contract)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=precision(device)).eval()
    both = model.num_parameters() <= BOTH
    # merged on the CPU and moved once; on ZeroGPU there is no GPU yet while this runs
    tuned = PeftModel.from_pretrained(
        copy.deepcopy(model) if both else model, adapter, torch_device="cpu", autocast_adapter_dtype=False
    ).merge_and_unload()
    own = model.generation_config.eos_token_id
    ends = {end_of_turn(tokenizer), *(own if isinstance(own, list) else [own])} - {None}
    models = {"tuned": tuned.eval().to(device)} | ({"base": model.to(device)} if both else {})
    return Assistant(models, tokenizer, contract, frozenset(ends))


def precision(device: str) -> torch.dtype:
    """bf16 where the device has it natively; else fp16 on a GPU, fp32 on a CPU."""
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


def check_golden(path: Path, tokenizer: "PreTrainedTokenizerBase", contract: "Contract") -> None:
    """Raises ValueError if a golden conversation comes out as other tokens than the release recorded.

    Releases hold the file; the adapter folder of a training run does not yet.
    """
    for case in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []:
        if encode_prompt(tokenizer, case["messages"], contract) != case["token_ids"]:
            raise ValueError(
                f"The golden conversation {case['name']!r} comes out as other tokens than the release recorded: "
                "adapter, tokenizer and contract are not of one release; fetch it again"
            )


def fit(assistant: Assistant, messages: "list[Message]", length: int) -> list[int]:
    """The prompt's token ids, without the oldest turns where they and the answer would not fit the model."""
    room = assistant.models["tuned"].config.max_position_embeddings - length
    ids = encode_prompt(assistant.tokenizer, messages, assistant.contract)
    while len(ids) > room and len(messages) > 1:
        messages = messages[2:]
        ids = encode_prompt(assistant.tokenizer, messages, assistant.contract)
    return ids
