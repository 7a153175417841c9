"""Load base, tokenizer and adapter; choose device and precision. The only place that does."""

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from space.contract import Contract
from space.prompt import encode_answered, encode_prompt, end_of_turn

PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|endoftext|>")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

logging.disable_progress_bar()
# PEFT and trl ask a model for a name that transformers has given up; nothing that a user could change.
warnings.filterwarnings("ignore", message=".is_gradient_checkpointing. is deprecated", category=FutureWarning)


def pick_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_precision(wanted: str, device: str) -> str:
    """bf16 where the device has it natively, fp16 on an older GPU (a T4), fp32 on an older CPU; `wanted` overrides."""
    if wanted != "auto":
        return wanted
    if device == "cpu":
        has = torch.cpu.get_capabilities()
        return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "fp32"
    return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """A base's or an adapter's tokenizer: its end token is the one that closes a turn, its pad token another one.

    Raises ValueError where it has no chat template, or one that closes a turn with no control token.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        raise ValueError(f"{folder}: its tokenizer has no chat template; give an instruct model")
    try:
        end = end_of_turn(tokenizer)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if tokenizer.pad_token_id in (None, end):  # a masked end token is a model that doesn't stop
        tokenizer.pad_token = padding_token(tokenizer)
    return tokenizer


def padding_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """A token to pad with, any but the end token: one meant for it where there is one, else another special token."""
    known = tokenizer.get_added_vocab()
    meant = [token for token in PAD_TOKENS if token in known]
    last = tokenizer.convert_ids_to_tokens([tokenizer.vocab_size - 1, tokenizer.vocab_size - 2])  # the rarest words
    others = [tokenizer.unk_token, tokenizer.bos_token, *known, *last]
    return next(token for token in (*meant, *others) if token not in (None, tokenizer.eos_token))


def check_template(tokenizer: PreTrainedTokenizerBase, contract: Contract) -> None:
    """Raises ValueError unless training and use can agree on the chat template.

    The prompt must be the beginning of the answered conversation, and control tokens that are typed must stay text.
    """
    name = tokenizer.name_or_path
    question = {"role": "user", "content": "What is asthma?"}
    prompt = encode_prompt(tokenizer, [question], contract)
    answered = encode_answered(tokenizer, [question, {"role": "assistant", "content": "A disease."}], contract)
    if answered[: len(prompt)] != prompt or len(answered) <= len(prompt) + 1:
        raise ValueError(
            f"{name}: its chat template writes an answered question otherwise than the question alone and then the "
            "answer, so what is trained would not be what is asked; give another base"
        )
    typed = question | {"content": question["content"] + tokenizer.eos_token}
    end = tokenizer.eos_token_id
    if encode_prompt(tokenizer, [typed], contract).count(end) != prompt.count(end):
        raise ValueError(f"{name}: a typed {tokenizer.eos_token} becomes a control token; give another base")


def load_base(folder: Path, precision: str, device: str, quantize: str = "none") -> PreTrainedModel:
    """A base in one precision on one device; with `quantize="4bit"` in NF4 (extra `qlora`, CUDA only)."""
    arguments: dict[str, Any] = {"dtype": DTYPES[precision]}
    if quantize == "4bit":
        if device != "cuda":
            raise ValueError("quantize=4bit needs a CUDA GPU: leave it out, at 1B it is slower and larger anyway")
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=DTYPES[precision]
        )
    model = AutoModelForCausalLM.from_pretrained(folder, **arguments)
    return model if quantize == "4bit" else model.to(device)


def lora_targets(model: PreTrainedModel) -> list[str]:
    """The layers that LoRA adapts: Llama's seven projections, else every linear layer but the head, by last name."""
    head = model.get_output_embeddings()
    names = {name.rpartition(".")[2] for name, part in model.named_modules()
             if isinstance(part, (torch.nn.Linear, Conv1D)) and part is not head}  # fmt: skip
    return sorted(PROJECTIONS if names >= PROJECTIONS else names)


def load_adapter(base: PreTrainedModel, adapter: str | Path, device: str, revision: str | None = None) -> PeftModel:
    """The base with an adapter on it, for inference."""
    model = PeftModel.from_pretrained(
        base, str(adapter), revision=revision, torch_device=device, autocast_adapter_dtype=False
    )
    return model.eval()
