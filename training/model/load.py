"""Load base, tokenizer and adapter; choose device and precision. Nothing else loads models."""

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from space.contract import Contract
from space.prompt import encode_answered, encode_prompt, end_of_turn

PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|endoftext|>")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

logging.disable_progress_bar()
# PEFT and trl use a deprecated attribute of transformers; users can't change that.
warnings.filterwarnings("ignore", message=".is_gradient_checkpointing. is deprecated", category=FutureWarning)


def pick_device() -> str:
    """`cuda` if there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_precision(wanted: str, device: str) -> str:
    """`wanted`; if that is auto, bf16 if the device supports it natively, else fp16 on a GPU (T4) and fp32 on a CPU."""
    if wanted != "auto":
        return wanted
    if device == "cpu":
        has = torch.cpu.get_capabilities()
        return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "fp32"
    return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a base or adapter. Its EOS token is the one that ends a turn, its pad token is another one.

    Raises ValueError if there is no chat template, or one that ends a turn without a control token.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        raise ValueError(f"{folder}: its tokenizer has no chat template; give an instruct model")
    try:
        end = end_of_turn(tokenizer)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if tokenizer.pad_token_id in (None, end):  # with EOS masked as padding the model would never learn to stop
        tokenizer.pad_token = padding_token(tokenizer)
    return tokenizer


def padding_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """A pad token other than EOS: one that is meant for padding if possible, else another special token."""
    known = tokenizer.get_added_vocab()
    meant = [token for token in PAD_TOKENS if token in known]
    last = tokenizer.convert_ids_to_tokens([tokenizer.vocab_size - 1, tokenizer.vocab_size - 2])  # the rarest tokens
    others = [tokenizer.unk_token, tokenizer.bos_token, *known, *last]
    return next(token for token in (*meant, *others) if token not in (None, tokenizer.eos_token))


def check_template(tokenizer: PreTrainedTokenizerBase, contract: Contract) -> None:
    """Raise ValueError if training and inference would differ with this chat template.

    The prompt must be a prefix of the answered conversation, and typed control tokens must stay text.
    """
    name = tokenizer.name_or_path
    question = {"role": "user", "content": "What is asthma?"}
    prompt = encode_prompt(tokenizer, [question], contract)
    answered = encode_answered(tokenizer, [question, {"role": "assistant", "content": "A disease."}], contract)
    if answered[: len(prompt)] != prompt or len(answered) <= len(prompt) + 1:
        raise ValueError(
            f"{name}: with its chat template the prompt is no prefix of the answered conversation, so training and "
            "inference would differ; give another base"
        )
    typed = question | {"content": question["content"] + tokenizer.eos_token}
    end = tokenizer.eos_token_id
    if encode_prompt(tokenizer, [typed], contract).count(end) != prompt.count(end):
        raise ValueError(f"{name}: a typed {tokenizer.eos_token} becomes a control token; give another base")


def load_base(folder: Path, precision: str, device: str, quantize: str = "none") -> PreTrainedModel:
    """A base in one precision on one device, or in NF4 with `quantize="4bit"` (extra `qlora`, CUDA only)."""
    arguments: dict[str, Any] = {"dtype": DTYPES[precision]}
    if quantize == "4bit":
        if device != "cuda":
            raise ValueError("quantize=4bit needs a CUDA GPU: leave it out, at 1B it is slower and larger anyway")
        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=DTYPES[precision]
        )
    model = AutoModelForCausalLM.from_pretrained(folder, **arguments)
    return model if quantize == "4bit" else model.to(device)  # type: ignore[arg-type]  # its wrapper loses `self`


def lora_targets(model: PreTrainedModel) -> list[str]:
    """Names of the layers that LoRA adapts: Llama's seven projections, else every linear layer except the head."""
    head = model.get_output_embeddings()
    names = {name.rpartition(".")[2] for name, part in model.named_modules()
             if isinstance(part, (torch.nn.Linear, Conv1D)) and part is not head}  # fmt: skip
    return sorted(PROJECTIONS if names >= PROJECTIONS else names)


def load_adapter(base: PreTrainedModel, adapter: Path, device: str) -> PeftModel:
    """The base with an adapter, for inference."""
    return PeftModel.from_pretrained(base, str(adapter), torch_device=device, autocast_adapter_dtype=False).eval()
