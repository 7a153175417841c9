"""Read and write the files of a run: atomically, and with errors that name the step which writes a missing file."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write to a temporary name and rename, so that nobody reads half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which then replaces `path`; after an error `path` is unchanged."""
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}{end}") for end in ("", ".old"))
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def read_json(path: Path, written_by: str) -> dict[str, Any]:
    """A JSON object. Raises FileNotFoundError naming the command that writes the file, ValueError if it is damaged."""
    need_file(path, written_by)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it and run `{written_by}` again") from error


def read_jsonl(path: Path, written_by: str) -> list[dict[str, Any]]:
    """One JSON object per line; raises like `read_json`."""
    need_file(path, written_by)
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:  # unlike splitlines(), it doesn't split at U+2028 inside of a string
            rows.extend(map(json.loads, file))
    except ValueError as error:
        fault = f"{path} line {len(rows) + 1} is damaged ({error})"
        raise ValueError(f"{fault}: remove the file and run `{written_by}` again") from error
    return rows


def need_file(path: Path, written_by: str) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: `{written_by}` writes it, run that first")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits that change when any part (anything JSON can hold) changes."""
    return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def up_to_date(path: Path, expected: str, key: str = "fingerprint") -> bool:
    """Whether a JSON file is readable and has the expected fingerprint."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))[key] == expected
    except (OSError, ValueError, KeyError):
        return False
