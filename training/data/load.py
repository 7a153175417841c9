"""Read the rows of a data set and validate them; nothing is misread or dropped silently."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from datasets import load_dataset, load_dataset_builder
from huggingface_hub import hf_hub_download
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from training.configs import is_local
from training.datasets import SUFFIXES, Columns, local_files

DELIMITERS = ",;\t|"
LONGEST_FIELD = 1 << 30  # characters; the default of csv is 131,072
# What spreadsheets, databases and pandas write for a missing value. `datasets` reads most of them as missing.
MISSING = {"", "nan", "-nan", "na", "n/a", "#n/a", "#na", "<na>", "none", "null", "nil", "1.#ind", "1.#qnan", "-", "--"}
UNSPECIFIED = "unspecified"  # the type of a question without one

LANGUAGE_SAMPLE = 500  # records; sorted by a hash of their text, so the first ones are as good as random
STOP_WORDS = 0.1  # share; English prose has more than twice as much, other languages next to nothing
ENGLISH = {"the", "of", "and", "to", "is", "are", "that", "with", "for", "by", "this", "it", "be", "which", "have",
           "has", "not", "can", "may", "from", "what", "how"}  # fmt: skip


class Row(NamedTuple):
    """The cells of a row that are used; a missing cell is empty."""

    question: str
    answer: str
    qtype: str = ""
    group: str = ""


@dataclass(frozen=True)
class Record:
    """A cleaned question and answer; `id`: 16 hexadecimal digits that depend only on the two texts.

    subject: the lower-case value of the group column; empty without one.
    """

    id: str
    question: str
    answer: str
    qtype: str
    subject: str = ""


def load_rows(dataset: str, revision: str, columns: Columns) -> list[Row]:
    """All rows; of a data set on the Hub those of the split `train`.

    Raises ValueError with file, line and remedy if something is empty, not UTF-8, malformed, or lacks a column.
    """
    files = local_files(Path(dataset).expanduser()) if is_local(dataset) else hub_files(dataset, revision)
    if files is not None:
        return [row for file in files for row in read_file(file, columns)]
    table = load_dataset(dataset, revision=revision, split="train")  # JSON, Arrow, …
    return as_rows(table, column_names(table.column_names, columns, dataset))


def hub_files(dataset: str, revision: str) -> list[Path] | None:
    """The CSV, TSV and Parquet files of the split `train`, downloaded; None if it consists of other files.

    They are read like local files, since `datasets` reads words like "None" as missing, and shifts columns.
    """
    splits = load_dataset_builder(dataset, revision=revision).config.data_files or {}
    if splits and "train" not in splits:
        raise ValueError(f"dataset={dataset}: it has no split `train`, only {', '.join(map(str, splits))}")
    names = [str(address).split(f"@{revision}/", 1)[-1] for address in splits.get("train", [])]
    if not names or any(Path(name).suffix.lower() not in SUFFIXES for name in names):
        return None
    return [Path(hf_hub_download(dataset, name, repo_type="dataset", revision=revision)) for name in names]


def column_names(header: list[str], columns: Columns, where: str) -> tuple[str, ...]:
    """The columns of question, answer, type and group; type and group are empty if there is none.

    Raises ValueError if a named column is missing or exists twice.
    """
    qtype = columns.qtype or ("qtype" if "qtype" in header else "")
    names = (columns.question, columns.answer, qtype, columns.group)
    for option, name in zip(("question", "answer", "qtype", "group"), names, strict=True):
        if name and header.count(name) != 1:
            count = "twice the column" if name in header else "no column"
            raise ValueError(
                f"{where} has {count} {name}: it has {', '.join(map(str, header))}; "
                f"name the right one with --set {option}_column=NAME"
            )
    return names


def as_rows(table: Iterable[dict[str, Any]], names: tuple[str, ...]) -> list[Row]:
    """The cells of the named columns; a cell without a value, or without a column, is empty."""
    return [Row(*("" if row.get(name) is None else str(row[name]) for name in names)) for row in table]


def read_file(path: Path, columns: Columns) -> list[Row]:
    """The rows of a local file; raises like `load_rows`."""
    rows = read_parquet(path, columns) if path.suffix.lower() == ".parquet" else read_csv(path, columns)
    if not rows:
        raise ValueError(f"{path} has a header but no rows")
    return rows


def read_parquet(path: Path, columns: Columns) -> list[Row]:
    """The rows of a Parquet file, reading only the columns that are used."""
    try:
        file = ParquetFile(path)
        names = column_names(file.schema_arrow.names, columns, str(path))
        return as_rows(file.read(sorted({*names} - {""})).to_pylist(), names)
    except ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def read_csv(path: Path, columns: Columns) -> list[Row]:
    """The rows of a delimited text file. Each row must have as many fields as the header, and standard quotes.

    Errors name the line on which a row begins, as an editor counts lines.
    """
    csv.field_size_limit(LONGEST_FIELD)
    lines = StringIO(decoded(path), newline="").readlines()
    delimiter = delimiter_of(lines, columns)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    table, begin = [], 0
    try:
        header = next(filter(None, reader), [])  # the first row that is not blank
        names = column_names(header, columns, str(path))
        begin = reader.line_num
        for fields in reader:
            if fields and len(fields) != len(header):
                raise ValueError(
                    f"{path} line {begin + 1}: {len(fields)} fields, but the header has {len(header)} "
                    f"({', '.join(header)}); the last one is {excerpt(fields[-1])}. Put double quotes around a field "
                    f"that holds {delimiter!r} or line breaks, and name every column in the header"
                )
            if fields:
                table.append(dict(zip(header, fields, strict=True)))
            begin = reader.line_num
    except csv.Error as error:
        text = excerpt("".join(lines[begin : reader.line_num]))
        raise ValueError(
            f"{path} line {begin + 1}: its quotes don't close where the field ends ({error}), in {text}. Put double "
            'quotes around a whole field, and write one inside it twice (""), not \\"'
        ) from error
    return as_rows(table, names)


def decoded(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark; raises ValueError naming the line that is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path} is not UTF-8 (line {line}, byte {error.start}): save it as UTF-8") from error


def delimiter_of(lines: list[str], columns: Columns) -> str:
    """The delimiter that gives the header the question and the answer column, else the one that gives most columns."""
    headers = {delimiter: next(filter(None, csv.reader(lines, delimiter=delimiter)), []) for delimiter in DELIMITERS}
    needed = {columns.question, columns.answer}
    return max(headers, key=lambda delimiter: (needed <= set(headers[delimiter]), len(headers[delimiter])))


def excerpt(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def clean(text: str) -> str:
    """The text without runs of spaces, trailing spaces, and more than one empty line in a row."""
    text = re.sub(r"[ \t\f\v\u00a0]+", " ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r" ?\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def validate(rows: list[Row]) -> tuple[list[Record], dict[str, int], dict[str, int]]:
    """Records sorted by id, and the numbers of dropped and of changed rows by reason.

    Rows with the same cleaned question and answer are exact duplicates; the alphabetically first type and subject stay.
    """
    records: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for row in rows:
        question, answer = " ".join(row.question.split()), clean(row.answer)
        if missing := [what for what, text in (("question", question), ("answer", answer)) if text.lower() in MISSING]:
            dropped[f"no {missing[0]} (empty, or a word for a missing value: nan, N/A, null, …)"] += 1
            continue
        qtype, subject = row.qtype.strip(), " ".join(row.group.lower().split())
        record = Record(
            sha256(f"{question}\0{answer}".encode()).hexdigest()[:16],
            question,
            answer,
            UNSPECIFIED if qtype.lower() in MISSING else qtype,
            "" if subject in MISSING else subject,
        )
        if (question, answer) != row[:2]:
            changed["white space settled"] += 1
        if record.id in records:
            dropped["exact duplicate"] += 1
            record = min(record, records[record.id], key=lambda kept: (kept.qtype, kept.subject))
        records[record.id] = record
    return [records[key] for key in sorted(records)], dict(dropped), dict(changed)


def language_warnings(records: list[Record]) -> list[str]:
    """A warning if the texts are not English, for which ROUGE and the app are made."""
    text = " ".join(f"{record.question} {record.answer}" for record in records[:LANGUAGE_SAMPLE]).lower()
    words = re.findall(r"[^\W\d_]+", text)
    if sum(word in ENGLISH for word in words) > STOP_WORDS * len(words):
        return []
    unread = 1 - len(re.findall("[a-z]", text)) / max(sum(map(str.isalpha, text)), 1)
    return [
        "The texts are mostly not English, but prompt, disclaimer, notices and the checks of the app are. ROUGE reads "
        f"only the letters a to z; {unread:.0%} of the letters of these texts are others."
    ]
