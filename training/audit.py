"""Measure what the metrics are worth, by human judgements of answers: writes the table that every card shows."""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from model_card.build import AUDIT
from training.outputs import file_sha256, write_json
from training.scoring.audit import Asked, Judged, audit
from training.scoring.table import audit_blocks, terminal_text

TABLES = {  # option -> its reader, and the columns that it needs
    "judgements": (partial(pd.read_csv, sep="\t"), ["question", "answer", "score"]),
    "questions": (partial(pd.read_json, lines=True), ["id", "summary"]),
    "medquad": (pd.read_parquet, ["document_source", "document_id", "question_id", "question_type", "answer"]),
}


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
