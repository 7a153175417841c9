"""Load `contract.toml`: what training, scoring and the Space must agree on."""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

VERSION = 1  # the contract format that this code reads

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

    Raises FileNotFoundError if it is missing, ValueError if it can't be read, lacks a field or has another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: an adapter is only usable with the contract it was trained under")
    raw = path.read_bytes()
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file in UTF-8: {error}") from error
    if table.get("version") != VERSION:
        raise ValueError(f"{path} has contract version {table.get('version')!r}, this code reads {VERSION}")
    try:
        return Contract(
            system_prompt=table["system_prompt"].strip(),
            date_string=table["date_string"],
            disclaimer=table["disclaimer"].strip(),
            decoding=Decoding(**table["decoding"]),
            limits=Limits(**table["limits"]),
            golden=tuple(Golden(case["name"], tuple(case["messages"])) for case in table["golden"]),
            sha256=sha256(raw).hexdigest(),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has a missing or unknown field: {error}") from error
