"""Two ways to get the same greedy answers: one question at a time, and ours."""

import time
from typing import TYPE_CHECKING, Any

import torch

from training.configs import MEDQUAD_SMOLLM2
from training.model.generate import generate_answers, greedy
from training.model.load import load_adapter, load_base, pick_precision
from training.scoring.rouge import rouge_scores
from training.speed.work import Work

if TYPE_CHECKING:
    from peft import PeftModel

ONE_IN = 4  # questions that are also asked one by one
Answers = tuple[list[str], int]  # texts in the order of the prompts, and the tokens of all


def tuned(work: Work, precision: str) -> "PeftModel":
    if work.adapter is None:
        return work.model(precision).eval()
    return load_adapter(load_base(work.base, precision, work.device), work.adapter, work.device)


@torch.inference_mode()
def one_by_one(model: "PeftModel", work: Work, prompts: list[list[int]]) -> Answers:
    """The first users': `generate` for each question, the adapter beside the base."""
    tokenizer = work.tokenizer()
    decoding = greedy(model, tokenizer, work.new_tokens)
    texts, tokens = [], 0
    for prompt in prompts:
        ids = torch.tensor([prompt], device=work.device)
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=decoding)
        answer = [token for token in output[0, len(prompt) :].tolist() if token not in decoding.eos_token_id]
        tokens += len(answer)
        texts.append(tokenizer.decode(answer, skip_special_tokens=True).strip())
    return texts, tokens


def together(model: "PeftModel", work: Work, prompts: list[list[int]], batch: int) -> Answers:
    """Ours: batches that a row leaves when its answer ends, the adapter merged."""
    tokenizer = work.tokenizer()
    batches = generate_answers(model, tokenizer, prompts, greedy(model, tokenizer, work.new_tokens), batch)
    answers = sorted((answer for batch in batches for answer in batch), key=lambda answer: answer.index)
    return [answer.text for answer in answers], sum(answer.tokens for answer in answers)


def compare_scoring(work: Work) -> dict[str, Any]:
    """Answered tokens a second of both: ours answers all questions, one by one every fourth of them."""
    prompts, batch = work.prompts(), MEDQUAD_SMOLLM2.score_batch
    # as `training.score` chooses it: on a CPU fp32, on a GPU the precision of training
    precision = "fp32" if work.device == "cpu" else pick_precision("auto", work.device)
    slow, fast = tuned(work, "fp32"), tuned(work, precision)
    fast.merge_adapter()
    started = time.perf_counter()
    first, first_tokens = one_by_one(slow, work, prompts[::ONE_IN])
    between = time.perf_counter()
    every, our_tokens = together(fast, work, prompts, batch)
    seconds = {"first recipe": between - started, "ours": time.perf_counter() - between}
    print("  scoring: " + ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items()), flush=True)
    speeds = {"first recipe": first_tokens / seconds["first recipe"], "ours": our_tokens / seconds["ours"]}
    compared, references = every[::ONE_IN], [row["answer"] for row in work.questions[::ONE_IN]]
    return {
        "questions": {"first recipe": len(first), "ours": len(every)},
        "batch": batch,
        "new_tokens": work.new_tokens,
        "precision": precision,
        "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
        "tokens_per_second": {name: round(speed, 2) for name, speed in speeds.items()},
        "ratio": round(speeds["ours"] / speeds["first recipe"], 2),
        "equal_answers": sum(a == b for a, b in zip(first, compared, strict=True)),
        "rouge_l": {
            name: round(float(rouge_scores(answers, references)["rougeL"].mean()), 4)
            for name, answers in (("first recipe", first), ("ours", compared))
        },
    }
