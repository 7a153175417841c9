"""Load `contract.toml`: what training, scoring and the Space must agree on."""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

VERSION = 1  # the contract format that this code reads
KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", dict: "a table", list: "a list"}
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
    if isinstance(version := table.get("version", VERSION), int) and version != VERSION:
        raise ValueError(f"{path} has contract version {version}, this code reads {VERSION}: update the code")
    kinds = {"version": int} | get_type_hints(Contract)
    table["sha256"] = sha256(raw).hexdigest()
    if missing := kinds.keys() - table.keys():
        raise ValueError(f"{path} has a missing or unknown field: {', '.join(sorted(missing))}: {REMEDY}")
    try:
        found = {name: parsed(kind, table[name], name) for name, kind in kinds.items()}
    except ValueError as error:
        raise ValueError(f"{path} has {error}: {REMEDY}") from error
    fields: dict[str, Any] = {
        name: value.strip() if isinstance(value, str) else value for name, value in found.items() if name != "version"
    }
    return Contract(**fields)


def parsed(kind: Any, found: Any, name: str) -> Any:
    """What the file holds under a dotted name as an annotated type; raises ValueError unless it is of that kind."""
    if get_origin(kind) is tuple:
        return tuple(parsed(get_args(kind)[0], item, name) for item in parsed(list, found, name))
    if kind == Message:
        return {key: parsed(str, parsed(dict, found, name).get(key), f"{name}.{key}") for key in ("role", "content")}
    if hasattr(kind, "__dataclass_fields__"):
        kinds = get_type_hints(kind)
        if odd := kinds.keys() ^ parsed(dict, found, name).keys():
            raise ValueError(f"a missing or unknown field: {', '.join(sorted(odd))} in [{name}]")
        return kind(**{key: parsed(of, found[key], f"{name}.{key}") for key, of in kinds.items()})
    if isinstance(found, bool) or not isinstance(found, (int, float) if kind is float else kind):
        raise ValueError(f"{name} = {found!r}, which is not {KINDS[kind]}")
    return found
