"""Answers of base and tuned to the questions of a split: generated in batches, saved as they come, resumed.

With several processes each rank answers its share of every round of questions, and rank 0 writes.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from space.contract import Contract, load_contract
from space.prompt import encode_prompt
from training.bases import base_of_run
from training.configs import CONTRACT, TrainConfig
from training.data.splits import shuffled
from training.model.generate import generate_answers
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device, pick_precision
from training.outputs import read_json, up_to_date, write_json

SIDES = ("base", "tuned")
Line = dict[str, Any]  # of a file with JSON lines
Answers = dict[tuple[str, str], Line]  # (side, record id) -> {"side", "id", "text", "tokens", "ended"}


def scoring_contract(config: TrainConfig) -> Contract:
    """The contract with the configuration's limit of a scored answer, if it sets one."""
    contract = load_contract(CONTRACT)
    tokens = config.answer_tokens or contract.decoding.max_new_tokens
    return replace(contract, decoding=replace(contract.decoding, max_new_tokens=tokens))


def select(records: list[Line], limit: int | None, seed: int) -> list[Line]:
    """All records, or a random sample of `limit` that is stratified by question type."""
    if not limit or limit >= len(records):
        return records
    by_type: dict[str, list[str]] = {}
    for record in records:
        by_type.setdefault(record["qtype"], []).append(record["id"])
    place: dict[str, float] = {}  # a record's place within its type, 0..1, so that the types interleave in proportion
    for ids in by_type.values():
        place |= {key: (rank + 0.5) / len(ids) for rank, key in enumerate(shuffled(ids, seed))}
    chosen = set(sorted(place, key=lambda key: (place[key], key))[:limit])
    return [record for record in records if record["id"] in chosen]


def answer_split(
    config: TrainConfig, trained: dict[str, Any], records: list[Line], partial: Path, key: str, known: Answers
) -> list[Line]:
    """Lines of answers-<split>.jsonl, in the order of the records.

    trained: run.json. partial: file with the answers so far, for an interrupted call; key: the fingerprint of what they
    depend on. known: answers that need not be generated.
    """
    writes = PartialState().is_main_process
    before = read_json(partial, "")["answers"] if writes and up_to_date(partial, key) else []
    [kept] = broadcast_object_list([known | by_question(before)])
    if kept:
        print(f"score: reusing {len(kept):,} answers")
    missing = {side: [record for record in records if (side, record["id"]) not in kept] for side in SIDES}
    if any(missing.values()):
        for rows in generate_missing(config, trained, missing):
            kept |= by_question(rows)
            if writes:
                write_json(partial, {"fingerprint": key, "answers": list(kept.values())})
    return [
        {name: record[name] for name in ("id", "question", "qtype", "group")}
        | {"reference": record["answer"]}
        | {side: {name: kept[side, record["id"]][name] for name in ("text", "tokens", "ended")} for side in SIDES}
        for record in records
    ]


def by_question(rows: list[Line]) -> Answers:
    return {(row["side"], row["id"]): row for row in rows}


def answers_in(lines: list[Line], side: str) -> Answers:
    """The answers of base or tuned in the lines of answers-<split>.jsonl."""
    return by_question([{"side": side, "id": line["id"], **line[side]} for line in lines])


def load_run(config: TrainConfig, trained: dict[str, Any]) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a finished run; on a CPU in float32. trained: run.json."""
    adapter, device = config.run_dir / "adapter", pick_device()
    precision = pick_precision(config.precision, device) if device == "cuda" else "fp32"
    base = load_base(base_of_run(trained, config).files, precision, device, config.quantize)
    return load_adapter(base, adapter, device), load_tokenizer(adapter)


def each_side(model: PeftModel, config: TrainConfig) -> Iterator[str]:
    """Turn the model into the base, with the adapter off, and then into the tuned one; yields its name."""
    with model.disable_adapter():
        yield "base"
    if config.quantize == "none":
        model.merge_adapter()  # as in the Space, and faster
    yield "tuned"


def generate_missing(
    config: TrainConfig, trained: dict[str, Any], missing: dict[str, list[Line]]
) -> Iterator[list[Line]]:
    """Yield {"side", "id", "text", "tokens", "ended"} of the missing answers, a batch of every process at a time."""
    model, tokenizer = load_run(config, trained)
    contract, processes = scoring_contract(config), PartialState()
    per_round = config.score_batch * processes.num_processes  # a batch for every process
    for side in each_side(model, config):
        prompts = {
            record["id"]: encode_prompt(tokenizer, [{"role": "user", "content": record["question"]}], contract)
            for record in missing[side]
        }
        ids = sorted(prompts, key=lambda key: len(prompts[key]))
        started = time.monotonic()
        for start in range(0, len(ids), per_round):
            with processes.split_between_processes(ids[start : start + per_round]) as mine:
                asked = [prompts[key] for key in mine]
                answers = generate_answers(
                    model, tokenizer, asked, contract.decoding.max_new_tokens, config.score_batch
                )
            rows = gather_object(
                [{"side": side, "id": key} | asdict(answer) for key, answer in zip(mine, answers, strict=True)]
            )
            done = start + len(rows)
            left = (time.monotonic() - started) / done * (len(ids) - done)
            print(f"  {side:5} answered {done:5,}/{len(ids):,}  ({left:.0f} s left)", flush=True)
            yield rows
