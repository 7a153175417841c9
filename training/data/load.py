"""Read the rows of a data set and validate them; nothing is misread or dropped silently."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from datasets import load_dataset, load_dataset_builder
from huggingface_hub import hf_hub_download
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from training.configs import is_local
from training.datasets import SUFFIXES, Columns, local_files

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
LONGEST_FIELD = 1 << 30  # characters; the default of csv is 131,072
# What spreadsheets, databases and pandas write for a missing value. `datasets` reads most of them as missing.
MISSING_WORDS = (
    "nan",
    "-nan",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "<na>",
    "none",
    "null",
    "nil",
    "1.#ind",
    "1.#qnan",
    "-",
    "--",
)
UNSPECIFIED = "unspecified"  # the type of a question without one

LANGUAGE_SAMPLE = 500  # records; sorted by a hash of their text, so the first ones are as good as random
FOREIGN_LETTERS = 0.2  # share; English has next to none, Polish 7 %, Vietnamese a quarter, Greek all
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
    """A cleaned question and answer; `id` depends only on the two texts.

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
    if files is None:
        return hub_rows(dataset, revision, columns)
    return [row for file in files for row in read_file(file, columns)]


def hub_files(dataset: str, revision: str) -> list[Path] | None:
    """The CSV, TSV and Parquet files of the split `train`, downloaded; None if it consists of other files.

    They are read like local files, since `datasets` reads words like "None" as missing, and shifts columns.
    """
    found = load_dataset_builder(dataset, revision=revision).config.data_files or {}
    if found and "train" not in found:
        raise ValueError(f"dataset={dataset}: it has no split `train`, only {', '.join(map(str, found))}")
    names = [str(address).split(f"@{revision}/", 1)[-1] for address in found.get("train", [])]
    if not names or any(Path(name).suffix.lower() not in SUFFIXES for name in names):
        return None
    return [Path(hf_hub_download(dataset, name, repo_type="dataset", revision=revision)) for name in names]


def hub_rows(dataset: str, revision: str, columns: Columns) -> list[Row]:
    """The rows of a data set on the Hub in another format (JSON, Arrow, …), as `datasets` reads them."""
    table = load_dataset(dataset, revision=revision, split="train")
    wanted = positions(list(table.column_names), columns, dataset)
    return [Row(*(as_text(row[name]) if name else "" for name in wanted)) for row in table]


def as_text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def read_file(path: Path, columns: Columns) -> list[Row]:
    """The rows of a local file; raises like `load_rows`."""
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty: expected the columns {columns.question}, {columns.answer}")
    rows = read_parquet(path, columns) if path.suffix.lower() == ".parquet" else list(read_csv(path, columns))
    if not rows:
        raise ValueError(f"{path} has a header but no rows")
    return rows


def read_parquet(path: Path, columns: Columns) -> list[Row]:
    """The rows of a Parquet file, reading only the columns that are used."""
    try:
        file = ParquetFile(path)
        names = positions(file.schema_arrow.names, columns, str(path))
        table = file.read(sorted({name for name in names if name}))
    except ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error
    cells = [table[name].to_pylist() if name else [""] * len(table) for name in names]
    return [Row(*map(as_text, row)) for row in zip(*cells, strict=True)]


def positions(header: list[str], columns: Columns, where: str) -> tuple[str, str, str, str]:
    """The columns of question, answer, type and group; type and group are empty if there is none.

    Raises ValueError if a named column is missing or exists twice.
    """
    qtype = columns.qtype or ("qtype" if "qtype" in header else "")
    wanted = (columns.question, columns.answer, qtype, columns.group)
    for option, name in zip(("question", "answer", "qtype", "group"), wanted, strict=True):
        if name and header.count(name) != 1:
            count = "twice the column" if name in header else "no column"
            raise ValueError(
                f"{where} has {count} {name}: it has {', '.join(map(str, header))}; "
                f"name the right one with --set {option}_column=NAME"
            )
    return wanted


def read_csv(path: Path, columns: Columns) -> Iterator[Row]:
    """The rows of a delimited text file. Each row must have as many fields as the header, and standard quotes.

    Errors name the line on which a row begins, as an editor counts lines.
    """
    csv.field_size_limit(LONGEST_FIELD)
    delimiter = delimiter_of(path, columns)
    lines: list[str] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(kept(file, lines), delimiter=delimiter, strict=True)
        begin = 1
        try:
            header = first_row(reader)
            wanted = [header.index(name) if name else None for name in positions(header, columns, str(path))]
            begin = reader.line_num + 1
            for fields in reader:
                if fields and len(fields) != len(header):
                    raise ValueError(f"{path} line {begin}: {wrong_count(fields, header, DELIMITERS[delimiter])}")
                if fields:
                    yield Row(*("" if index is None else fields[index] for index in wanted))
                begin = reader.line_num + 1
                lines.clear()
        except UnicodeDecodeError as error:
            raise ValueError(not_utf8(path)) from error
        except csv.Error as error:
            raise ValueError(f"{path} line {begin}: {wrong_quotes(error, lines)}") from error


def first_row(rows: Iterator[list[str]]) -> list[str]:
    """The first row that is not blank."""
    return next((row for row in rows if row), [])


def kept(file: Iterator[str], lines: list[str]) -> Iterator[str]:
    """The lines of a file, each also appended to a list."""
    for line in file:
        lines.append(line)
        yield line


def delimiter_of(path: Path, columns: Columns) -> str:
    """The delimiter that gives the header the question and the answer column, else the one that gives most columns."""
    headers = {}
    for delimiter in DELIMITERS:
        with path.open(encoding="utf-8-sig", newline="") as file:
            try:
                headers[delimiter] = first_row(csv.reader(file, delimiter=delimiter))
            except UnicodeDecodeError as error:
                raise ValueError(not_utf8(path)) from error
        if {columns.question, columns.answer} <= set(headers[delimiter]):
            return delimiter
    return max(headers, key=lambda delimiter: len(headers[delimiter]))


def wrong_count(fields: list[str], header: list[str], delimiters: str) -> str:
    """Why a row with more or fewer fields than the header can't be read, and what to do."""
    surplus = f"; the first surplus one is {shortened(fields[len(header)])}" if len(fields) > len(header) else ""
    return (
        f"{len(fields)} fields, but the header has {len(header)} ({', '.join(header)}){surplus}. Put double quotes "
        f"around a field that holds {delimiters} or line breaks, and name every column in the header"
    )


def wrong_quotes(error: csv.Error, lines: list[str]) -> str:
    """Why the quotes of a row can't be read, and what to do."""
    text = "".join(lines)
    if '\\"' in text:
        return 'a quote inside a field is written \\": write it twice ("") instead'
    if str(error) == "unexpected end of data":
        return f"a quote that is opened here is never closed: {shortened(text)}"
    return (
        f"its quotes don't close where the field ends ({error}), in {shortened(text)}: put double quotes around a "
        'whole field, and write one inside it twice ("")'
    )


def shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def not_utf8(path: Path) -> str:
    """Where a file is not UTF-8, and what to do."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"{path} is not UTF-8 (line {line}, byte {error.start}): save it as UTF-8 and try again"
    raise AssertionError(f"{path} changed while it was read")


def clean(text: str) -> str:
    """The text without runs of spaces, trailing spaces, and more than one empty line in a row."""
    text = re.sub(r"[ \t\f\v\u00a0]+", " ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r" ?\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def present(text: str) -> str:
    """The text, or nothing if it is only a word for a missing value."""
    return "" if text.lower() in MISSING_WORDS else text


def lacking(question: str, answer: str) -> str | None:
    """Why a cleaned question and answer make no record; None if they do."""
    for what, text in (("question", question), ("answer", answer)):
        if not text:
            return f"empty {what}"
        if not present(text):
            return f"{what} is only a word for a missing value (nan, N/A, null, …)"
    return None


def validate(rows: list[Row]) -> tuple[list[Record], dict[str, int], dict[str, int]]:
    """Records sorted by id, and the numbers of dropped and of changed rows by reason.

    Rows with the same cleaned question and answer are exact duplicates; the alphabetically first type and subject stay.
    """
    records: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for row in rows:
        question, answer = " ".join(row.question.split()), clean(row.answer)
        if reason := lacking(question, answer):
            dropped[reason] += 1
            continue
        qtype, subject = present(row.qtype.strip()) or UNSPECIFIED, present(" ".join(row.group.lower().split()))
        record = Record(record_id(question, answer), question, answer, qtype, subject)
        if (question, answer) != row[:2]:
            changed["white space settled"] += 1
        if record.id in records:
            dropped["exact duplicate"] += 1
            record = min(record, records[record.id], key=lambda kept: (kept.qtype, kept.subject))
        records[record.id] = record
    return [records[key] for key in sorted(records)], dict(dropped), dict(changed)


def record_id(question: str, answer: str) -> str:
    """16 hexadecimal digits that depend only on the two texts."""
    return sha256(f"{question}\0{answer}".encode()).hexdigest()[:16]


def as_line(record: Record, group: str) -> dict[str, Any]:
    """A record as a line of data/<split>.jsonl."""
    line = asdict(record) | {"group": group}
    del line["subject"]
    return line


def language_warnings(records: list[Record]) -> list[str]:
    """Warnings if the texts are not English, for which ROUGE and the app are made; usually none."""
    text = " ".join(f"{record.question} {record.answer}" for record in records[:LANGUAGE_SAMPLE]).lower()
    letters = sum(map(str.isalpha, text))
    foreign = 1 - len(re.findall("[a-z]", text)) / letters if letters else 1.0
    words = re.findall(r"[^\W\d_]+", text)
    common = sum(word in ENGLISH for word in words) / len(words) if words else 0.0
    warnings = []
    if foreign > FOREIGN_LETTERS:
        warnings.append(
            f"ROUGE reads only the letters a to z, and {foreign:.0%} of the letters of these texts are others: "
            "its scores say little or nothing here."
        )
    if common < STOP_WORDS:
        warnings.append(
            "The texts are mostly not English, but prompt, disclaimer, notices and the checks of the app are."
        )
    return warnings
