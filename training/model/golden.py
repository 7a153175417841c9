"""The golden conversations: their token ids, and the log-probabilities after them, as training records both."""

from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from space.contract import Contract
from space.prompt import encode_prompt
from training.model.generate import Model

TOP = 16  # tokens recorded per conversation: the likeliest ones of the tuned model
# Largest accepted difference between a recorded log-probability and one computed in float32, by recorded dtype.
TOLERANCES = {"float32": 0.01, "float16": 0.1, "bfloat16": 0.5}
QUANTIZED = 1.0  # a 4-bit base has other weights


def golden_ids(tokenizer: PreTrainedTokenizerBase, contract: Contract) -> list[dict[str, Any]]:
    """What golden.json holds: the conversations of the contract with their token ids."""
    return [
        {"name": case.name, "messages": list(case.messages),
         "token_ids": encode_prompt(tokenizer, list(case.messages), contract)}
        for case in contract.golden
    ]  # fmt: skip


def golden_logits(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, contract: Contract, at: dict[str, list[int]] | None = None
) -> dict[str, Any]:
    """Log-probabilities of the token after each golden conversation, by the tuned model and by its base.

    at: the token ids to look up, by conversation; default: the likeliest ones of the tuned model. Computed in the
    model's own precision.
    """
    training, golden = model.training, golden_ids(tokenizer, contract)
    model.eval()
    tuned = golden_log_probs(model, golden)
    with model.disable_adapter():
        base = golden_log_probs(model, golden)
    model.train(training)
    cases = []
    for case, *sides in zip(golden, tuned, base, strict=True):
        tokens = at[case["name"]] if at else sides[0].topk(TOP).indices.tolist()
        both = [[round(value, 5) for value in side[tokens].tolist()] for side in sides]
        cases.append({"name": case["name"], "token_ids": tokens, "tuned": both[0], "base": both[1]})
    dtype = str(model.get_input_embeddings().weight.dtype).removeprefix("torch.")
    return {"dtype": "4bit" if getattr(model.config, "quantization_config", None) else dtype, "cases": cases}


@torch.no_grad()
def golden_log_probs(model: Model, golden: list[dict[str, Any]]) -> list[torch.Tensor]:
    """Log-probabilities of the token after each conversation of golden.json, [vocabulary] each."""
    prompts = (torch.tensor([case["token_ids"]], device=model.device) for case in golden)
    return [model(input_ids=ids).logits[0, -1].float().log_softmax(-1).cpu() for ids in prompts]


def compare_logits(found: dict[str, Any], recorded: dict[str, Any] | None) -> dict[str, float | None]:
    """Largest difference from the base's logits ("effect") and from the recorded ones ("deviation").

    found: in float32, at the recorded tokens. Raises ValueError if the adapter has no effect, or if the logits
    deviate from the recorded ones by more than the tolerance.
    """
    effect = largest_difference(found, "tuned", found, "base")
    if effect < 1e-3:
        raise ValueError(f"the adapter changes nothing: its logits are the base's to within {effect:.5f}")
    if recorded is None:
        return {"effect": round(effect, 5), "deviation": None}
    tolerance = TOLERANCES.get(recorded["dtype"], QUANTIZED)
    other_base = largest_difference(found, "base", recorded, "base")
    deviation = largest_difference(found, "tuned", recorded, "tuned")
    if other_base > tolerance:
        raise ValueError(f"the base is not the one trained on: its logits differ by {other_base:.3f} (> {tolerance})")
    allowed = min(tolerance, effect / 2)  # closer to the recorded logits than to the base's
    if deviation > allowed:
        raise ValueError(f"the logits differ by {deviation:.3f} from those recorded at training (> {allowed:.3f})")
    return {"effect": round(effect, 5), "deviation": round(deviation, 5)}


def largest_difference(one: dict[str, Any], side: str, other: dict[str, Any], other_side: str) -> float:
    """The largest difference over all conversations and tokens."""
    pairs = zip(one["cases"], other["cases"], strict=True)
    return max(abs(a - b) for x, y in pairs for a, b in zip(x[side], y[other_side], strict=True))
