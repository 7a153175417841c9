"""Measure how often each metric scores the better of two answers higher, as people judged them.

Writes the table that every model card shows to model_card/results/audit/liveqa.json. The judgements are those of
LiveQA-Med 2017, their answers' texts those of the whole MedQuAD collection. Nothing is trained or scored.
"""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from model_card.build import AUDIT
from training.outputs import file_sha256, write_json
from training.scoring.audit import Asked, Judged, audit
from training.scoring.table import audit_blocks, plain_table, written

COLUMNS = {
    "judgements": ["question", "answer", "score"],
    "questions": ["id", "summary"],
    "medquad": ["document_source", "document_id", "question_id", "question_type", "answer"],
}


def main(options: argparse.Namespace) -> None:
    paths = {name: getattr(options, name) for name in COLUMNS}
    tables = {name: read_table(path, COLUMNS[name]) for name, path in paths.items()}
    asked = judged_answers(**tables)
    counts = {"judgements": len(tables["judgements"]), "answers": sum(len(one.answers) for one in asked)}
    print(f"audit: {counts['judgements']:,} judgements; {counts['answers']:,} of the answers have a text")
    result = audit(asked, seed=0)
    write_json(AUDIT, {"sha256": {name: file_sha256(path) for name, path in paths.items()}} | counts | result)
    print(f"\n{written(audit_blocks(result), plain_table).replace('**', '')}\n\nwritten to {AUDIT}")


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A Parquet file, JSON lines or TSV. Raises ValueError if it is damaged or lacks a column."""
    readers = {".parquet": pd.read_parquet, ".jsonl": partial(pd.read_json, lines=True)}
    try:
        table = readers.get(path.suffix, partial(pd.read_csv, sep="\t"))(path)
    except (ValueError, pd.errors.ParserError) as error:  # pyarrow's errors are ValueErrors
        raise ValueError(f"{path} can't be read as Parquet, JSON lines or TSV ({error})") from error
    if missing := [name for name in columns if name not in table]:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}: it has {', '.join(map(str, table))}")
    return table


def judged_answers(judgements: pd.DataFrame, questions: pd.DataFrame, medquad: pd.DataFrame) -> list[Asked]:
    """The questions with the judged answers whose text MedQuAD holds; the same text twice has the mean judgement."""
    texts = medquad.dropna(subset="answer").rename(columns={"answer": "text"})
    pair = texts["question_id"].str.rpartition("-")[2]
    texts["answer"] = texts["document_source"] + "_" + texts["document_id"] + "_Sec" + pair + ".txt"
    texts = texts[["answer", "text", "question_type"]].drop_duplicates("answer", keep=False)  # a few ids are ambiguous
    found = judgements.merge(texts, on="answer").groupby(["question", "text"], as_index=False, sort=False)
    answers = found.agg(score=("score", "mean"), qtype=("question_type", "first"))
    return [
        Asked(
            row["summary"],
            [Judged(*one) for one in answers[answers["question"] == row["id"]][["text", "qtype", "score"]].to_numpy()],
            [Judged(text, "", 4) for text in [row.get("reference")] if isinstance(text, str)],
        )
        for row in questions.to_dict("records")
    ]
