"""Load `contract.toml`: what training, scoring and the Space must agree on."""

import tomllib
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, get_origin

VERSION = 1  # the contract format that this code reads
REMEDY = "correct the file, or fetch the release again"

Message = dict[str, str]  # {"role": "user" | "assistant" | "system", "content": text}


@dataclass(frozen=True)
class Decoding:
    """How answers are generated; scoring is greedy and uses `max_new_tokens` only."""

    max_new_tokens: int
    temperature: float
    top_p: float
    repetition_penalty: float


@dataclass(frozen=True)
class Limits:
    """The longest question, and how many turns of a chat the model sees."""

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
    if (version := table.pop("version", None)) != VERSION:
        raise ValueError(f"{path} has contract version {version}, this code reads {VERSION}: update the code")
    table = {name: value.strip() if isinstance(value, str) else value for name, value in table.items()}
    table["sha256"] = sha256(raw).hexdigest()
    try:
        table["decoding"], table["limits"] = made(Decoding, table["decoding"]), made(Limits, table["limits"])
        table["golden"] = tuple(made(Golden, case | {"messages": tuple(case["messages"])}) for case in table["golden"])
        contract: Contract = made(Contract, table)
    except KeyError as missing:
        raise ValueError(f"{path} lacks {missing}: {REMEDY}") from missing
    except TypeError as error:
        raise ValueError(f"{path} has a field that can't be used: {error}: {REMEDY}") from error
    return contract


def made(kind: Any, table: dict[str, Any]) -> Any:
    """A dataclass from the fields of a TOML table; raises KeyError or TypeError unless they are those of the class."""
    for field in fields(kind):
        value = table[field.name]
        of: Any = get_origin(field.type) or field.type
        if isinstance(value, bool) or not isinstance(value, (int, float) if of is float else of):
            raise TypeError(f"{field.name} = {value!r}, which is not of type {of.__name__}")
    return kind(**table)
