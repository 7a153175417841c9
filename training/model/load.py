"""Load base, tokenizer and adapter; choose device and precision. The only place that does."""

import warnings
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from training.configs import is_local

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


def from_pretrained_args(source: str, revision: str) -> dict[str, str]:
    """The revision, where the source is a Hub id. Raises FileNotFoundError for a local folder that isn't there."""
    if not is_local(source):
        return {"revision": revision}
    if not Path(source, "tokenizer_config.json").exists():
        raise FileNotFoundError(
            f"{source} holds no model: give a Hub id or a folder with a base and its tokenizer "
            "(`python -m training.tiny_base CONFIG` makes a tiny one)"
        )
    return {}


def load_tokenizer(base_model: str, revision: str) -> PreTrainedTokenizerBase:
    """The base's tokenizer, checked to be one of the Llama 3 family.

    Raises ValueError if a control token or the chat template is missing, OSError if it can't be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(base_model, **from_pretrained_args(base_model, revision))
    except OSError as error:
        if is_local(base_model):
            raise
        raise OSError(
            f"{base_model} at {revision} is not in the cache and can't be fetched from the Hub: check name, network "
            "and token, or give a local folder with --set base_model=FOLDER"
        ) from error
    known = tokenizer.get_added_vocab()
    missing = [t for t in ("<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>") if t not in known]
    if missing or not tokenizer.chat_template:
        raise ValueError(
            f"{base_model}: its tokenizer lacks {', '.join(missing) or 'a chat template'}; give a Llama 3 base"
        )
    tokenizer.eos_token = "<|eot_id|>"
    if "<|finetune_right_pad_id|>" in known:  # never the end token: a masked end is a model that doesn't stop
        tokenizer.pad_token = "<|finetune_right_pad_id|>"
    return tokenizer


def load_base(base_model: str, revision: str, precision: str, device: str, quantize: str = "none") -> PreTrainedModel:
    """The base in one precision on one device; with `quantize="4bit"` in NF4 (extra `qlora`, CUDA only)."""
    arguments = from_pretrained_args(base_model, revision) | {"dtype": DTYPES[precision]}
    if quantize == "4bit":
        if device != "cuda":
            raise ValueError("quantize=4bit needs a CUDA GPU: leave it out, at 1B it is slower and larger anyway")
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=DTYPES[precision]
        )
    model = AutoModelForCausalLM.from_pretrained(base_model, **arguments)
    return model if quantize == "4bit" else model.to(device)


def load_adapter(base: PreTrainedModel, adapter: str | Path, device: str, revision: str | None = None) -> PeftModel:
    """The base with an adapter on it, for inference."""
    model = PeftModel.from_pretrained(
        base, str(adapter), revision=revision, torch_device=device, autocast_adapter_dtype=False
    )
    return model.eval()
