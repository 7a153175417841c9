"""Fit the weights of the second reading, `weighed` in space/safety.py: `python tests/fit_words.py` writes words.json.

A softmax regression over the words that a message holds, on the development cases and the plain questions of the
sample: for crisis, emergency and poison the log-odds that each word adds. It finds tellings that no rule foresaw, and
stays a table that can be read. The held-out cases are read too since they were opened and measured.
"""

import csv
import json
from collections import Counter
from pathlib import Path

import torch

from space.safety import KINDS, WORDS, features, tail
from training.command import run
from training.outputs import file_sha256, write_text

ROOT = Path(__file__).parents[1]
CASES = [Path(__file__).with_name("cases") / name for name in ("safety.jsonl", "held_out.jsonl")]
SAMPLE = ROOT / "training" / "data" / "sample.csv"
CLASSES = (None, *KINDS)
RARE = 2  # messages; a feature of fewer says nothing
KEPT = 8_000  # features, the weightiest
STEPS = 180
DECAY = 0.1  # of squared weights, over the number of messages
QUESTION = 0.3  # what a question of the sample weighs beside a case


def main() -> None:
    messages, labels, weights = read()
    counts = Counter(feature for message in messages for feature in features(message))
    places = {feature: place for place, feature in enumerate(f for f, n in counts.items() if n >= RARE)}
    table, bias = fit([[places[f] for f in features(m) if f in places] for m in messages], labels, weights, len(places))
    odds = table[:, 1:] - table[:, :1]  # [features, kinds], against no notice
    heaviest = odds.abs().amax(1).argsort(descending=True)[:KEPT].tolist()
    names = list(places)
    rows = {names[place]: [round(value, 2) for value in odds[place].tolist()] for place in sorted(heaviest)}
    head = {
        "cases_sha256": [file_sha256(path) for path in CASES],
        "kinds": list(KINDS),
        "bias": [round(value, 2) for value in (bias[1:] - bias[0]).tolist()],
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines.append('"weights": {\n' + ",\n".join(f"{json.dumps(f)}: {json.dumps(w)}" for f, w in rows.items()) + "\n}")
    write_text(WORDS, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(messages):,} messages, {len(rows):,} of {len(places):,} features, written to {WORDS}")


def read() -> tuple[list[str], list[int], list[float]]:
    """Messages as they are scored, the place of their class in CLASSES, and what each weighs."""
    cases = [json.loads(line) for path in CASES for line in path.read_text(encoding="utf-8").splitlines()]
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        questions = [row["Question"] for row in csv.DictReader(file)]
    messages = [tail(case.get("turns") or [case["text"]]) for case in cases] + [tail([q]) for q in questions]
    labels = [CLASSES.index(case["kind"]) for case in cases] + [0] * len(questions)
    return messages, labels, [1.0] * len(cases) + [QUESTION] * len(questions)


def fit(rows: list[list[int]], labels: list[int], weights: list[float], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [features, classes] and bias [classes]; rows: the features of each message."""
    table = torch.zeros(size, len(CLASSES), requires_grad=True)
    bias = torch.zeros(len(CLASSES), requires_grad=True)
    flat = torch.tensor([place for row in rows for place in row])
    starts = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)[:-1]
    scale = torch.tensor([[3 / max(len(row), 8) ** 0.5] for row in rows])
    optimiser = torch.optim.Adam([table, bias], lr=0.02)
    for _ in range(STEPS):
        sums = torch.nn.functional.embedding_bag(flat, table, starts, mode="sum")
        losses = torch.nn.functional.cross_entropy(sums * scale + bias, torch.tensor(labels), reduction="none")
        loss = (losses * torch.tensor(weights)).mean() + DECAY * (table**2).sum() / len(rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return table.detach(), bias.detach()


if __name__ == "__main__":
    run(main)
