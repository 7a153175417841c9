"""Load a data set in MedQuAD's columns and turn its rows into validated records; nothing is dropped uncounted."""

import re
from collections import Counter
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from training.configs import is_local

COLUMNS = ("qtype", "Question", "Answer")
READERS = {".csv": "CSV", ".parquet": "Parquet"}


@dataclass(frozen=True)
class Record:
    """One cleaned question and answer; `id` depends on the text alone, so on no file's order."""

    id: str
    question: str
    answer: str
    qtype: str


@dataclass(frozen=True)
class Source:
    """Where the rows came from: `revision` is a Hub commit, or the sha256 of the local files' bytes."""

    name: str
    revision: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def resolve(dataset: str, revision: str) -> Source:
    """Pin a data set to what it holds now: a Hub id to its commit, local files to their checksum.

    Raises FileNotFoundError for a path without CSV or Parquet, and what the Hub raises for a missing id.
    """
    if not is_local(dataset):
        from huggingface_hub import HfApi

        return Source(dataset, HfApi().dataset_info(dataset, revision=revision).sha)
    digest = sha256()
    for file in local_files(Path(dataset)):
        digest.update(file.read_bytes())
    return Source(Path(dataset).name, digest.hexdigest())


def local_files(path: Path) -> list[Path]:
    """The CSV and Parquet files that a path names, sorted; raises FileNotFoundError if there are none."""
    if path.is_file() and path.suffix in READERS:
        return [path]
    found = sorted(file for suffix in READERS for file in path.glob(f"*{suffix}")) if path.is_dir() else []
    if not found:
        raise FileNotFoundError(
            f"{path}: no such data set; give a Hub id (owner/name), a .csv or .parquet file, or a folder that holds one"
        )
    return found


def load_rows(dataset: str, revision: str) -> pd.DataFrame:
    """All rows as strings in `COLUMNS`; a missing cell is an empty string.

    Raises ValueError naming the file and the remedy if it is empty, isn't UTF-8, is malformed or lacks a column.
    """
    if is_local(dataset):
        return pd.concat([read_file(file) for file in local_files(Path(dataset))], ignore_index=True)
    from datasets import load_dataset

    table = load_dataset(dataset, revision=revision, split="train").to_pandas()
    return with_columns(table, dataset)


def read_file(path: Path) -> pd.DataFrame:
    """One local file's rows; raises ValueError as `load_rows` does."""
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty: expected the columns {', '.join(COLUMNS)}")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8 and try again") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise ValueError(f"{path} is not a readable {READERS[path.suffix]} file: {error}") from error
    return with_columns(table, str(path))


def with_columns(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The three columns as strings; raises ValueError if one is missing or there is no row."""
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(
            f"{name} has no column {', '.join(missing)}: it has {', '.join(map(str, table.columns))}; "
            f"rename its columns to {', '.join(COLUMNS)}"
        )
    if table.empty:
        raise ValueError(f"{name} has a header but no rows")
    return table[list(COLUMNS)].fillna("").astype(str)


def clean(text: str) -> str:
    """The text with white space settled: no runs of spaces, no trailing ones, at most one empty line in a row."""
    text = re.sub(r"[ \t\f\v\u00a0]+", " ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r" ?\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def validate(rows: pd.DataFrame) -> tuple[list[Record], dict[str, int], dict[str, int]]:
    """Records sorted by id, the count of dropped rows by reason, and of changed rows by reason.

    An exact duplicate is a row whose question and answer, cleaned, stood before; the first in order of qtype stays.
    """
    records: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for qtype, question, answer in rows.itertuples(index=False):
        asked, answered = " ".join(question.split()), clean(answer)
        if not asked or not answered:
            dropped["empty question" if not asked else "empty answer"] += 1
            continue
        record = Record(record_id(asked, answered), asked, answered, qtype.strip())
        if (asked, answered) != (question, answer):
            changed["white space settled"] += 1
        if record.id in records:
            dropped["exact duplicate"] += 1
            record = min(record, records[record.id], key=lambda kept: kept.qtype)
        records[record.id] = record
    return [records[key] for key in sorted(records)], dict(dropped), dict(changed)


def record_id(question: str, answer: str) -> str:
    """16 hexadecimal digits that depend on the two texts alone."""
    return sha256(f"{question}\0{answer}".encode()).hexdigest()[:16]
