"""Measure how often each metric scores the better of two answers higher, as people judged them.

Writes the table that every model card shows to model_card/results/audit/liveqa.json. The judgements are those of
LiveQA-Med 2017, their answers' texts those of the whole MedQuAD collection. Pairs are answers to the same question that
were judged differently. Both are compared with the same reference: one that is given, else the best-judged other
answer, if that is correct itself. Nothing is trained or scored.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from math import log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import textstat

from model_card.build import AUDIT
from training.outputs import file_sha256, write_json
from training.scoring.facts import KINDS, outcome, stated
from training.scoring.intervals import mean_interval, paired_gain
from training.scoring.report import repeated, words
from training.scoring.rouge import score_pair
from training.scoring.table import audit_blocks, terminal_text

TABLES = {  # option -> its reader, and the columns that it needs
    "judgements": (partial(pd.read_csv, sep="\t"), ["question", "answer", "score"]),
    "questions": (partial(pd.read_json, lines=True), ["id", "summary"]),
    "medquad": (pd.read_parquet, ["document_source", "document_id", "question_id", "question_type", "answer"]),
}
CORRECT = 3  # of LiveQA's judgements: 1 incorrect, 2 related, 3 correct but incomplete, 4 excellent


class Judged(NamedTuple):
    """An answer, the type of the question that it was written for, and the mean of its judgements."""

    text: str
    qtype: str
    score: float


class Asked(NamedTuple):
    """A question with its judged answers, and reference answers if any are given."""

    question: str
    answers: list[Judged]
    references: list[Judged]


Metric = Callable[[str, Judged, str], float]  # of an answer, a reference and the question; NaN where it can't tell


def main(options: argparse.Namespace) -> None:
    paths = {name: getattr(options, name) for name in TABLES}
    tables = {name: read_table(name, path) for name, path in paths.items()}
    asked = judged_answers(**tables)
    counts = {"judgements": len(tables["judgements"]), "answers": sum(len(one.answers) for one in asked)}
    print(f"audit: {counts['judgements']:,} judgements; {counts['answers']:,} of the answers have a text")
    result = audit(asked, seed=0)
    write_json(AUDIT, {"sha256": {name: file_sha256(path) for name, path in paths.items()}} | counts | result)
    print(f"\n{terminal_text(audit_blocks(result))}\n\nwritten to {AUDIT}")


def read_table(name: str, path: Path) -> pd.DataFrame:
    """The table that an option names. Raises ValueError if it is damaged or lacks a column."""
    reader, columns = TABLES[name]
    try:
        table = reader(path)
    except (ValueError, pd.errors.ParserError) as error:  # pyarrow's errors are ValueErrors
        raise ValueError(f"--{name} {path} can't be read, see `python -m training audit --help` ({error})") from error
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}: it has {', '.join(map(str, table))}")
    return table


def judged_answers(judgements: pd.DataFrame, questions: pd.DataFrame, medquad: pd.DataFrame) -> list[Asked]:
    """The questions with the judged answers whose text MedQuAD holds; the same text twice has the mean judgement."""
    texts = medquad.dropna(subset="answer").rename(columns={"answer": "text"})
    number = texts["question_id"].str.rpartition("-")[2]
    texts["answer"] = texts["document_source"] + "_" + texts["document_id"] + "_Sec" + number + ".txt"
    texts = texts[["answer", "text", "question_type"]].drop_duplicates("answer", keep=False)  # a few ids are ambiguous
    known = judgements.merge(texts, on="answer").groupby(["question", "text"], as_index=False, sort=False)
    answers = known.agg(score=("score", "mean"), qtype=("question_type", "first"))
    return [
        Asked(
            row["summary"],
            [Judged(*one) for one in answers[answers["question"] == row["id"]][["text", "qtype", "score"]].to_numpy()],
            [Judged(text, "", 4) for text in [row.get("reference")] if isinstance(text, str)],
        )
        for row in questions.to_dict("records")
    ]


# What the metrics are worth


def right_fact(answer: str, reference: Judged, question: str) -> float:
    """Whether an answer names the fact of a reference; NaN unless that states exactly one."""
    kind = reference.qtype
    true = stated(kind, reference.text) if kind in KINDS else set()
    return float(outcome(kind, stated(kind, answer), true) == "right") if len(true) == 1 else np.nan


METRICS: dict[str, Metric] = {
    "ROUGE-1": lambda answer, reference, _: score_pair(answer, reference.text)[0],
    "ROUGE-2": lambda answer, reference, _: score_pair(answer, reference.text)[1],
    "ROUGE-L": lambda answer, reference, _: score_pair(answer, reference.text)[2],
    "the right fact": right_fact,
    "a length ratio near 1": lambda answer, reference, _: -abs(log(length(answer) / length(reference.text))),
    "fewer repeated 4-grams": lambda answer, *_: -repeated(words(answer)),
    "a lower reading grade": lambda answer, *_: -textstat.flesch_kincaid_grade(answer),
}
RIVALS: dict[str, Metric] = {
    "the length of the answer": lambda answer, *_: length(answer),
    "the words of the question in it": lambda answer, _, question: len({*words(question)} & {*words(answer)}),
}


def length(text: str) -> int:
    return max(len(words(text)), 1)


def audit(asked: list[Asked], seed: int) -> dict[str, Any]:
    """How often each metric is right on all pairs; a tie counts half. Raises ValueError if none can be compared."""
    pairs = pd.DataFrame([pair for place, one in enumerate(asked) for pair in pairs_of(place, one)])
    known = pairs.dropna(subset="ROUGE-1") if len(pairs) else pairs
    if not len(known):
        raise ValueError("no two answers to the same question are judged differently and have a correct third one")
    figures = {}  # name -> how often it is right, with its interval over questions; of a metric also gains over rivals
    for name in METRICS | RIVALS:
        told = known.dropna(subset=name)
        if len(told):
            right, questions = told[name].to_numpy(), told["place"].to_numpy()
            rivals = RIVALS if name in METRICS else ()
            gains = {rival: paired_gain(told[rival].to_numpy(), right, questions, seed=seed) for rival in rivals}
            figures[name] = mean_interval(right, questions, seed=seed) | {"gains": gains}
    return {"pairs without a reference": len(pairs) - len(known), "all": figures}


def pairs_of(place: int, one: Asked) -> Iterator[dict[str, Any]]:
    """What each metric says of the pairs of a question's answers; place: of the question."""
    for two in combinations(one.answers, 2):
        worse, better = sorted(two, key=lambda answer: answer.score)
        if worse.score == better.score:
            continue
        others = [answer for answer in one.answers if answer not in two and answer.score >= CORRECT]
        best = max((answer.score for answer in others), default=0)
        references = one.references or [answer for answer in others if answer.score == best]
        yield {"place": place} | {
            name: order([[metric(each.text, reference, one.question) for each in (better, worse)]
                         for reference in references])
            for name, metric in (METRICS | RIVALS).items()
        }  # fmt: skip


def order(scores: list[list[float]]) -> float:
    """The mean over references of: 1 if the first score is higher, .5 in a tie, 0 if lower; NaN if it can't tell."""
    return pd.Series([(1 + np.sign(better - worse)) / 2 for better, worse in scores], dtype=float).mean()
