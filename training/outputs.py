"""Read and write what runs leave on disk: whole files or none, and an error that names the step that writes them."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A fresh folder to fill; it takes the place of `path` at the end, and leaves no trace if the filling fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path, written_by: str) -> dict[str, Any]:
    """A JSON file's object. Raises FileNotFoundError naming the command that writes it, ValueError if it is damaged."""
    need_file(path, written_by)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it and run `{written_by}` again") from error


def read_jsonl(path: Path, written_by: str) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object a line; raises like `read_json`."""
    need_file(path, written_by)
    rows = []
    # not splitlines(): JSON leaves U+2028 and U+0085 as they are, and it would break a line there
    for number, line in enumerate(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(
                f"{path} line {number} is damaged ({error}): remove the file and run `{written_by}` again"
            ) from error
    return rows


def need_file(path: Path, written_by: str) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: `{written_by}` writes it, run that first")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits that change whenever a part (anything JSON can hold) does."""
    return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def up_to_date(path: Path, expected: str, key: str = "fingerprint") -> bool:
    """Whether a JSON file exists, whole, and records the `fingerprint` expected of it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))[key] == expected
    except (OSError, ValueError, KeyError):
        return False
