"""What LoRA training costs, counted from the shape; the ceiling it is compared with, measured; a T4, estimated."""

import time
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from training.configs import PROJECTIONS, TrainConfig
from training.model.load import DTYPES
from training.speed.work import SHAPE_1B

if TYPE_CHECKING:
    from peft import PeftModel

# A T4: its data sheet's rate of half-precision matrix products, the share of it to count on, and its memory.
T4 = {"tflops": 65.0, "share": 0.35, "gib": 16.0}
TILE_BYTES = 4096 * 32_768 * 4  # trl's head holds one tile of logits, [4096, 32768], in float32 at most


def projection_sizes(shape: LlamaConfig) -> dict[str, tuple[int, int]]:
    """[in, out] of a layer's projections."""
    wide, narrow = shape.head_dim * shape.num_attention_heads, shape.head_dim * shape.num_key_value_heads
    sizes = {name: (shape.hidden_size, narrow) for name in ("k_proj", "v_proj")}
    sizes |= {"q_proj": (shape.hidden_size, wide), "o_proj": (wide, shape.hidden_size)}
    sizes |= {name: (shape.hidden_size, shape.intermediate_size) for name in ("gate_proj", "up_proj")}
    sizes |= {"down_proj": (shape.intermediate_size, shape.hidden_size)}
    return {name: sizes[name] for name in PROJECTIONS}


def weights(shape: LlamaConfig, rank: int) -> tuple[int, int]:
    """Weights of all projections, and of an adapter on them."""
    sizes = projection_sizes(shape).values()
    layers = shape.num_hidden_layers
    return layers * sum(a * b for a, b in sizes), layers * rank * sum(a + b for a, b in sizes)


def operations_a_token(shape: LlamaConfig, rank: int, tokens: float, counted: float) -> float:
    """Multiplications and additions that a useful token costs; nothing that a recipe does beside it is counted.

    tokens: mean length of an example, half of which a token looks back on; counted: share of tokens that have a loss.
    A frozen weight costs 4: a product forwards, one backwards; an adapter's 6, for its own gradient.
    """
    frozen, adapter = weights(shape, rank)
    wide = shape.head_dim * shape.num_attention_heads
    attention = shape.num_hidden_layers * 3 * (2 * 2 * wide) * tokens / 2  # scores and values; backwards costs twice
    return 4 * frozen + 6 * adapter + attention + 4 * shape.hidden_size * shape.vocab_size * counted


def ceiling_tflops(device: str, precision: str, seconds: float = 1.0) -> float:
    """TFLOP/s of large matrix products on this device, the best of all that fit into some seconds."""
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(DTYPES[precision]) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e12


def t4_estimate(config: TrainConfig, examples: int, tokens: float, counted: float) -> dict[str, Any]:
    """Hours of a whole run of the 1B shape and its peak memory on a T4, from what is counted; nothing is measured.

    Bytes: base in half precision; adapter, gradient and Adam's two moments in float32; what the layers keep for the
    way back of a batch of the longest examples; the head's tiles.
    """
    shape = LlamaConfig(**SHAPE_1B)
    frozen, adapter = weights(shape, config.lora_rank)
    work = examples * tokens * config.epochs * operations_a_token(shape, config.lora_rank, tokens, counted)
    kept = config.batch_size * config.max_tokens * shape.num_hidden_layers * kept_bytes(config)
    memory = 2 * (frozen + shape.hidden_size * shape.vocab_size) + 16 * adapter + kept + TILE_BYTES
    return {
        "hours": round(work / (T4["tflops"] * T4["share"] * 1e12) / 3600, 2),
        "share_of_peak_assumed": T4["share"],
        "peak_gib": round(memory / 2**30, 1),
        "fits": memory < T4["gib"] * 2**30,
    }


def kept_bytes(config: TrainConfig, tokens: int = 64) -> float:
    """Bytes that a layer of the 1B shape keeps of each token for the way back, counted on two layers and on one.

    A GPU's dropout keeps a byte of noise for each value that goes into an adapter, a CPU's four.
    """
    from peft import get_peft_model

    from training.train import lora_config

    def of_a_token(layers: int) -> float:
        shape = LlamaConfig(**SHAPE_1B | {"num_hidden_layers": layers, "vocab_size": 64})
        model = get_peft_model(LlamaForCausalLM(shape).to(torch.bfloat16), lora_config(config)).train()
        short, long = (saved_bytes(model, torch.zeros(1, length, dtype=torch.long)) for length in (tokens, 2 * tokens))
        return (long - short) / tokens

    noise = sum(size for size, _ in projection_sizes(LlamaConfig(**SHAPE_1B)).values()) if config.lora_dropout else 0
    return of_a_token(2) - of_a_token(1) - 3 * noise


def saved_bytes(model: "PeftModel", ids: torch.Tensor) -> int:
    """Bytes of all tensors that a forward pass in bf16 keeps for the backward pass, weights left out."""
    fixed = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in fixed:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        loss = model(input_ids=ids, use_cache=False).logits.sum()
    del loss
    return sum(storage.nbytes() for storage in storages.values())
