"""Answers of base and tuned to the questions of a split: generated in batches, saved as they come, resumed.

With several processes each rank answers its share of every round of questions, and rank 0 writes.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from space.contract import Contract, load_contract
from space.prompt import encode_prompt
from training.configs import CONTRACT, TrainConfig
from training.data.splits import shuffled
from training.model.generate import generate_answers
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device, pick_precision
from training.outputs import write_text

SIDES = ("base", "tuned")
Line = dict[str, Any]  # of a file with JSON lines


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
    config: TrainConfig, base: Path, records: list[Line], contract: Contract, partial: Path, key: str
) -> list[Line]:
    """Lines of answers-<split>.jsonl, in the order of the records.

    base: its folder. partial: file with the answers so far; its first line is the key of what they depend on.
    """
    writes = PartialState().is_main_process
    [kept] = broadcast_object_list([read_partial(partial, key) if writes else None])
    missing = {side: [record for record in records if (side, record["id"]) not in kept] for side in SIDES}
    if any(missing.values()):
        with open_partial(partial if writes else None, key, kept) as file:
            for row in generate_missing(config, base, missing, contract):
                kept[row["side"], row["id"]] = row
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
    return [
        {name: record[name] for name in ("id", "question", "qtype", "group")}
        | {"reference": record["answer"]}
        | {side: {name: kept[side, record["id"]][name] for name in ("text", "tokens", "ended")} for side in SIDES}
        for record in records
    ]


def read_partial(path: Path, key: str) -> dict[tuple[str, str], Line]:
    """(side, record id) -> answer, if the file belongs to the key; an incomplete last line is dropped."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0] != key:
        return {}
    rows = [json.loads(line) for line in lines[1:-1]]  # after the last newline: nothing, or a line cut by a kill
    if rows:
        print(f"score: resuming after {len(rows):,} answers")
    return {(row["side"], row["id"]): row for row in rows}


def open_partial(path: Path | None, key: str, kept: dict[tuple[str, str], Line]) -> TextIO:
    """The partial file, rewritten with its complete lines and open for more; nothing is kept without a path."""
    if path is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    write_text(path, "\n".join([key, *(json.dumps(row, ensure_ascii=False) for row in kept.values())]) + "\n")
    return path.open("a", encoding="utf-8")


def generate_missing(
    config: TrainConfig, base: Path, missing: dict[str, list[Line]], contract: Contract
) -> Iterator[Line]:
    """Yield {"side", "id", "text", "tokens", "ended"} of every missing answer; first the base, with the adapter off."""
    device = pick_device()
    precision = pick_precision(config.precision, device) if device == "cuda" else "fp32"
    tokenizer = load_tokenizer(config.run_dir / "adapter")
    model = load_adapter(load_base(base, precision, device, config.quantize), config.run_dir / "adapter", device)
    max_new_tokens = contract.decoding.max_new_tokens
    prompts = {
        record["id"]: encode_prompt(tokenizer, [{"role": "user", "content": record["question"]}], contract)
        for records in missing.values()
        for record in records
    }

    processes = PartialState()
    per_round = config.score_batch * processes.num_processes  # a batch for every process
    for side in SIDES:
        if side == "tuned" and config.quantize == "none":
            model.merge_adapter()  # as in the Space, and faster
        ids = sorted((record["id"] for record in missing[side]), key=lambda key: len(prompts[key]))
        started = time.monotonic()
        for start in range(0, len(ids), per_round):
            with (
                model.disable_adapter() if side == "base" else nullcontext(),
                processes.split_between_processes(ids[start : start + per_round]) as mine,
            ):
                asked = [prompts[key] for key in mine]
                answers = generate_answers(model, tokenizer, asked, max_new_tokens, config.score_batch)
            rows = gather_object(
                [{"side": side, "id": key} | asdict(answer) for key, answer in zip(mine, answers, strict=True)]
            )
            done = start + len(rows)
            left = (time.monotonic() - started) / done * (len(ids) - done)
            print(f"  {side:5} answered {done:5,}/{len(ids):,}  ({left:.0f} s left)", flush=True)
            yield from rows
