"""Two ways to get the same greedy answers: one question at a time, and ours."""

import time
from typing import TYPE_CHECKING, Any

import torch

from training.model.generate import generate_answers, greedy
from training.model.load import load_adapter, load_base, pick_precision
from training.speed.work import Work

if TYPE_CHECKING:
    from peft import PeftModel

PRECISIONS = {"cpu": "fp32"}  # as `training.score` chooses it; on a GPU that of training


def tuned(work: Work, precision: str) -> "PeftModel":
    base = load_base(work.config.base_model, work.config.base_revision, precision, work.device)
    if work.adapter:
        return load_adapter(base, work.adapter, work.device)
    from peft import get_peft_model

    from training.train import lora_config

    return get_peft_model(base, lora_config(work.config)).eval()


@torch.inference_mode()
def one_by_one(model: "PeftModel", work: Work, prompts: list[list[int]]) -> list[str]:
    """The first users': `generate` for each question, the adapter beside the base."""
    tokenizer = work.tokenizer()
    decoding = greedy(model, tokenizer, work.new_tokens)
    texts = []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=work.device)
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=decoding)
        texts.append(tokenizer.decode(output[0, len(prompt) :], skip_special_tokens=True).strip())
    return texts


def together(model: "PeftModel", work: Work, prompts: list[list[int]], batch: int) -> list[str]:
    """Ours: batches that a row leaves when its answer ends, the adapter merged."""
    tokenizer = work.tokenizer()
    batches = generate_answers(model, tokenizer, prompts, greedy(model, tokenizer, work.new_tokens), batch)
    answers = [answer for batch in batches for answer in batch]
    return [answer.text for answer in sorted(answers, key=lambda answer: answer.index)]


def compare_scoring(work: Work, rounds: int, batch: int) -> dict[str, Any]:
    """Answers a second of both, taking turns: each round one by one answers its part of the questions, ours all."""
    prompts = work.prompts()
    precision = PRECISIONS.get(work.device) or pick_precision("auto", work.device)
    slow, fast = tuned(work, "fp32"), tuned(work, precision)
    fast.merge_adapter()
    one, all_at_once = [], []
    seconds = {"first recipe": 0.0, "ours": 0.0}
    for number in range(rounds):
        part = prompts[number * len(prompts) // rounds : (number + 1) * len(prompts) // rounds]
        started = time.perf_counter()
        one += one_by_one(slow, work, part)
        between = time.perf_counter()
        all_at_once = together(fast, work, prompts, batch)
        seconds["first recipe"] += between - started
        seconds["ours"] += time.perf_counter() - between
        shown = ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items())
        print(f"  scoring, after round {number + 1} of {rounds}: {shown}", flush=True)
    first, ours = len(prompts) / seconds["first recipe"], rounds * len(prompts) / seconds["ours"]
    return {
        "questions": len(prompts),
        "batch": batch,
        "precision": precision,
        "answers_per_second": {"first recipe": round(first, 3), "ours": round(ours, 3)},
        "ratio": round(ours / first, 2),
        "equal_answers": sum(a == b for a, b in zip(one, all_at_once, strict=True)),
    }
