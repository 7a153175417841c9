"""Load `contract.toml`: what training, scoring and the Space must agree on."""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

VERSION = 1  # the contract format that this code reads
KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", dict: "a table", list: "a list"}
REMEDY = "correct the file, or fetch the release again"

Message = dict[str, str]  # {"role": "user" | "assistant" | "system", "content": text}
Part = TypeVar("Part")


@dataclass(frozen=True)
class Decoding:
    """How answers are generated; scoring is greedy and uses `max_new_tokens` only."""

    max_new_tokens: int
    temperature: float
    top_p: float
    repetition_penalty: float


@dataclass(frozen=True)
class Limits:
    """What one chat may hold."""

    max_question_chars: int
    max_turns: int


@dataclass(frozen=True)
class Golden:
    """A conversation whose token ids every release records and every reader must reproduce."""

    name: str
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Contract:
    """One release's prompt, disclaimer, decoding and limits; `sha256` is that of the file's bytes."""

    system_prompt: str
    date_string: str
    disclaimer: str
    decoding: Decoding
    limits: Limits
    golden: tuple[Golden, ...]
    sha256: str


def load_contract(path: Path) -> Contract:
    """Read a contract file.

    Raises FileNotFoundError if it is missing, ValueError if it can't be read, lacks a field, holds one of another kind
    or has another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: an adapter is only usable with the contract it was trained under")
    raw = path.read_bytes()
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file in UTF-8: {error}") from error
    if (version := value(path, table, "version", int)) != VERSION:
        raise ValueError(f"{path} has contract version {version}, this code reads {VERSION}: update the code")
    return Contract(
        system_prompt=value(path, table, "system_prompt", str).strip(),
        date_string=value(path, table, "date_string", str),
        disclaimer=value(path, table, "disclaimer", str).strip(),
        decoding=part(path, table, "decoding", Decoding),
        limits=part(path, table, "limits", Limits),
        golden=tuple(conversation(path, case) for case in value(path, table, "golden", list)),
        sha256=sha256(raw).hexdigest(),
    )


def value(path: Path, table: dict[str, Any], name: str, kind: type) -> Any:
    """What `table` holds under the last word of the dotted `name`; raises ValueError unless it is of that kind."""
    key = name.rpartition(".")[2]
    if key not in table:
        raise ValueError(f"{path} has a missing or unknown field: {name!r}: {REMEDY}")
    found = table[key]
    if isinstance(found, bool) or not isinstance(found, (int, float) if kind is float else kind):
        raise ValueError(f"{path} has {name} = {found!r}, which is not {KINDS[kind]}: {REMEDY}")
    return found


def part(path: Path, table: dict[str, Any], name: str, kind: type[Part]) -> Part:
    """One table of the file as its dataclass, each key of the annotated kind and none beside them."""
    found = value(path, table, name, dict)
    kinds = get_type_hints(kind)
    if odd := kinds.keys() ^ found.keys():
        raise ValueError(f"{path} has a missing or unknown field: {', '.join(sorted(odd))} in [{name}]: {REMEDY}")
    return kind(**{key: value(path, found, f"{name}.{key}", of) for key, of in kinds.items()})


def conversation(path: Path, case: Any) -> Golden:
    value(path, {"golden": case}, "golden", dict)
    messages = value(path, case, "golden.messages", list)
    for message in messages:
        value(path, {"messages": message}, "golden.messages", dict)
        for key in ("role", "content"):
            value(path, message, f"golden.messages.{key}", str)
    return Golden(value(path, case, "golden.name", str), tuple(messages))
