"""Answers of base and tuned to a split's questions: generated in batches, kept as they come, resumed after a stop.

Several processes share each round of questions, and tell each other their answers; the first of them writes.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from space.contract import Contract, load_contract
from space.prompt import encode_prompt
from training.configs import CONTRACT, TrainConfig
from training.outputs import full_disk_named, write_text

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import GenerationConfig, PreTrainedTokenizerBase

    from training.model.generate import Generated

SIDES = ("base", "tuned")
Row = dict[str, Any]


def scoring_contract(config: TrainConfig) -> Contract:
    """The contract, with the configuration's own limit of a scored answer where it has one."""
    contract = load_contract(CONTRACT)
    tokens = config.answer_tokens or contract.decoding.max_new_tokens
    return replace(contract, decoding=replace(contract.decoding, max_new_tokens=tokens))


def select(records: list[Row], limit: int | None, seed: int) -> list[Row]:
    """All records, or a seeded part of `limit` in which every question type keeps its share."""
    if not limit or limit >= len(records):
        return records
    from training.data.splits import shuffled

    by_type: dict[str, list[str]] = {}
    for record in records:
        by_type.setdefault(record["qtype"], []).append(record["id"])
    place = {}  # a record's place within its type, 0..1: the types interleave in proportion
    for ids in by_type.values():
        place.update({key: (rank + 0.5) / len(ids) for rank, key in enumerate(shuffled(ids, seed))})
    chosen = set(sorted(place, key=lambda key: (place[key], key))[:limit])
    return [record for record in records if record["id"] in chosen]


def answer_split(
    config: TrainConfig, base: Path, records: list[Row], contract: Contract, partial: Path, key: str
) -> list[Row]:
    """Both sides' answers, one line a question in the records' order.

    base: its folder. partial: the file that holds the answers so far; its first line is the key of what they belong to.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    writes = PartialState().is_main_process
    [kept] = broadcast_object_list([read_partial(partial, key) if writes else None])
    missing = {side: [record for record in records if (side, record["id"]) not in kept] for side in SIDES}
    if any(missing.values()):
        with full_disk_named(partial), open_partial(partial if writes else None, key, kept) as file:
            for row in generate_missing(config, base, missing, contract):
                kept[row["side"], row["id"]] = row
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
    return [as_line(record, *(kept[side, record["id"]] for side in SIDES)) for record in records]


def as_line(record: Row, base: Row, tuned: Row) -> Row:
    """A line of answers-<split>.jsonl."""
    sides = {row["side"]: {name: row[name] for name in ("text", "tokens", "ended")} for row in (base, tuned)}
    asked = {name: record[name] for name in ("id", "question", "qtype", "group")}
    return asked | {"reference": record["answer"]} | sides


def read_partial(path: Path, key: str) -> dict[tuple[str, str], Row]:
    """(side, record id) -> answer, of a file that belongs to the key; a last line cut by a kill is left out."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0] != key:
        return {}
    rows = [json.loads(line) for line in lines[1:-1]]  # what follows the last newline is empty or cut
    if rows:
        print(f"score: resuming after {len(rows):,} answers")
    return {(row["side"], row["id"]): row for row in rows}


def open_partial(path: Path | None, key: str, kept: dict[tuple[str, str], Row]) -> TextIO:
    """The partial file, rewritten with the whole lines that it held, open for more; without a path nothing is kept."""
    if path is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    write_text(path, "\n".join([key, *(json.dumps(row, ensure_ascii=False) for row in kept.values())]) + "\n")
    return path.open("a", encoding="utf-8")


def generate_missing(
    config: TrainConfig, base: Path, missing: dict[str, list[Row]], contract: Contract
) -> Iterator[Row]:
    """Yield {"side", "id", "text", "tokens", "ended"} for every answer that is missing; base first, adapter off."""
    from training.model.generate import greedy
    from training.model.load import load_adapter, load_base, load_tokenizer, pick_device, pick_precision

    device = pick_device()
    precision = pick_precision(config.precision, device) if device == "cuda" else "fp32"
    tokenizer = load_tokenizer(config.run_dir / "adapter")
    model = load_adapter(load_base(base, precision, device, config.quantize), config.run_dir / "adapter", device)
    decoding = greedy(model, tokenizer, contract.decoding.max_new_tokens)
    with model.disable_adapter():
        yield from answer_side("base", model, tokenizer, missing["base"], config.score_batch, contract, decoding)
    if config.quantize == "none":
        model.merge_adapter()  # as the Space serves it, and faster
    yield from answer_side("tuned", model, tokenizer, missing["tuned"], config.score_batch, contract, decoding)


def answer_side(
    side: str,
    model: "PeftModel",
    tokenizer: "PreTrainedTokenizerBase",
    records: list[Row],
    batch_size: int,
    contract: Contract,
    decoding: "GenerationConfig",
) -> Iterator[Row]:
    """Yield one side's answers round by round, each a batch for every process, with a line of progress."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    from training.model.generate import generate_answers

    questions = {
        r["id"]: encode_prompt(tokenizer, [{"role": "user", "content": r["question"]}], contract) for r in records
    }
    by_length = sorted(questions, key=lambda key: len(questions[key]))
    processes = PartialState()
    per_round = batch_size * processes.num_processes
    started = time.monotonic()
    for start in range(0, len(by_length), per_round):
        with processes.split_between_processes(by_length[start : start + per_round]) as mine:
            batches = generate_answers(model, tokenizer, [questions[key] for key in mine], decoding, batch_size)
            answers = [as_row(side, mine[answer.index], answer) for batch in batches for answer in batch]
        answers = gather_object(answers)
        done = start + len(answers)
        left = (time.monotonic() - started) / done * (len(records) - done)
        print(f"  {side:5} answered {done:5,}/{len(records):,}  ({left:.0f} s left)", flush=True)
        yield from answers


def as_row(side: str, key: str, answer: "Generated") -> Row:
    """A line of the partial file."""
    return {"side": side, "id": key, "text": answer.text, "tokens": answer.tokens, "ended": answer.ended}
