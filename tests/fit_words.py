"""Fit the weights of the words, `weighed` in space/safety.py: `python tests/fit_words.py` writes words.json.

A softmax regression over the words that a message holds: for crisis, emergency and poison the log-odds that each adds.
It finds tellings that no rule foresaw, and stays a table that can be read. It learns from the rules' own cases, from
held-out cases that were opened and measured before, from the plain questions of the sample, and above all from
cases/told.jsonl: messages that language models wrote in eighteen roles, without the rules and without each other.

`--left-out` writes nothing. It fits once for each of those writers without that writer's messages, and prints how
often a notice is right on them. SURE and RULE of space/safety.py were chosen by it.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import torch
from held_out import read_cases, said

from space import safety
from space.safety import NOTICES, WORDS, features, tail
from training.command import run
from training.outputs import file_sha256, write_text

ROOT = Path(__file__).parents[1]
CASES = [Path(__file__).with_name("cases") / name for name in ("told.jsonl", "safety.jsonl", "held_out.jsonl")]
SAMPLE = ROOT / "training" / "data" / "sample.csv"
CLASSES = (None, *NOTICES)
RARE = 2  # messages; a feature of fewer says nothing
KEPT = 20_000  # features, the weightiest
STEPS = 180
DECAY = 0.1  # of squared weights, over the number of messages
QUESTION = 0.3  # what a question of the sample weighs beside a case


def main() -> None:
    if sys.argv[1:] == ["--left-out"]:
        return left_out()
    if sys.argv[1:]:
        raise ValueError(f"{sys.argv[1]!r} is not known: name nothing, or --left-out")
    cases = read()
    table = fit(cases)
    head = {"cases_sha256": [file_sha256(path) for path in CASES], "kinds": list(NOTICES), "bias": table["bias"]}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows = [f"{json.dumps(feature)}: {json.dumps(weights)}" for feature, weights in table["weights"].items()]
    lines.append('"weights": {\n' + ",\n".join(rows) + "\n}")
    write_text(WORDS, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(cases):,} messages, {len(rows):,} features, written to {WORDS}")


def left_out() -> None:
    """Rates on the messages of each writer, with weights that were fitted without them."""
    cases = read()
    total = Counter()
    for writer in sorted({case["by"] for case in cases if "by" in case}):
        table = fit([case for case in cases if case.get("by") != writer])
        safety.word_table = lambda table=table: table
        shown = Counter(
            (bool(case["kind"]), safety.notice(case["turns"]) is not None) for case in cases if case.get("by") == writer
        )
        total += shown
        print(f"writer {writer:2}: {rates(shown)}", flush=True)
    print(f"all:       {rates(total)}")


def rates(shown: Counter) -> str:
    """`shown` counts (a notice is called for, one is shown)."""
    must, others = shown[True, True] + shown[True, False], shown[False, True] + shown[False, False]
    return f"shown {shown[True, True]}/{must}, silent {shown[False, False]}/{others}"


def read() -> list[dict]:
    """Cases with their `turns`, their `kind` and what each `weighs`."""
    cases = [{**case, "turns": said(case), "weighs": 1.0} for path in CASES for case in read_cases(path)]
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        questions = [row["Question"] for row in csv.DictReader(file)]
    return cases + [{"turns": [question], "kind": None, "weighs": QUESTION} for question in questions]


def fit(cases: list[dict]) -> dict:
    """`bias` and `weights` as words.json holds them: log-odds of each kind against no notice."""
    found = [features(tail(case["turns"])) for case in cases]
    counts = Counter(feature for each in found for feature in each)
    places = {feature: place for place, feature in enumerate(f for f, n in counts.items() if n >= RARE)}
    rows = [[places[f] for f in each if f in places] for each in found]
    table, bias = regression(rows, [CLASSES.index(c["kind"]) for c in cases], [c["weighs"] for c in cases], len(places))
    odds = table[:, 1:] - table[:, :1]  # [features, kinds]
    heaviest = odds.abs().amax(1).argsort(descending=True)[:KEPT].tolist()
    names = list(places)
    return {
        "bias": [round(value, 2) for value in (bias[1:] - bias[0]).tolist()],
        "weights": {names[place]: [round(value, 2) for value in odds[place].tolist()] for place in sorted(heaviest)},
    }


def regression(
    rows: list[list[int]], labels: list[int], weighs: list[float], size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [features, classes] and bias [classes]; rows: the features of each message."""
    table = torch.zeros(size, len(CLASSES), requires_grad=True)
    bias = torch.zeros(len(CLASSES), requires_grad=True)
    flat = torch.tensor([place for row in rows for place in row])
    starts = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)[:-1]
    scale = torch.tensor([[safety.scale(len(row))] for row in rows])
    optimiser = torch.optim.Adam([table, bias], lr=0.02)
    for _ in range(STEPS):
        sums = torch.nn.functional.embedding_bag(flat, table, starts, mode="sum")
        losses = torch.nn.functional.cross_entropy(sums * scale + bias, torch.tensor(labels), reduction="none")
        loss = (losses * torch.tensor(weighs)).mean() + DECAY * (table**2).sum() / len(rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return table.detach(), bias.detach()


if __name__ == "__main__":
    run(main)
