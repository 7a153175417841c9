"""What a base is: its files on this machine, its Hub id and commit, its licence. The only place that finds one.

Three kinds: a Hub id, resolved to a commit before anything is loaded; a folder, which may be declared to be such a
commit (`base_id`, `base_revision`); and the embedded default, a pretrained model out of a wheel on the package index.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from space.licences import LLAMAS
from training.configs import EMBEDDED, TrainConfig, is_local
from training.outputs import file_sha256, fingerprint, read_json, write_json

FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "README.md", "LICENSE*", "USE_POLICY.md", "NOTICE")
LOADED = FILES[:4]
ABOUT_FILES = ("config.json", *FILES[4:])
TOKENIZER_FILES = ("config.json", "tokenizer*", "*.jinja", "special_tokens_map.json", "vocab.json", "merges.txt")
COMMIT = re.compile(r"[0-9a-f]{40}")
ORIGIN = "origin.json"  # in a base's folder: a sentence about what it was made from
WHERE = "base.json"  # beside a run's adapter: where its base lies, if in a folder; never published


@dataclass(frozen=True)
class Base:
    """One base. `model` is its Hub id, or its folder where it has none; `weights`: sha256 of every shard."""

    model: str
    revision: str | None  # 40 hexadecimal digits; None where it has no Hub id
    folder: Path | None  # None where its files are not at hand
    licence: str
    weights: dict[str, str]
    origin: str = ""  # a sentence, where it was made from something else

    def record(self) -> dict[str, Any]:
        """What run.json holds of it: everything but where it lies."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}


def find_base(config: TrainConfig, only: tuple[str, ...] = FILES) -> Base:
    """The base that a configuration names now, its files at hand; only: which files are fetched from the Hub.

    Raises FileNotFoundError or PermissionError where it can't be had, ValueError where its licence is not known or
    what is declared of it contradicts what its files say.
    """
    if is_local(config.base_model):
        return local_base(config)
    if config.base_id:
        raise ValueError(f"base_id={config.base_id}: it says what a folder holds, and {config.base_model} is a Hub id")
    revision = commit_of(config.base_model, config.base_revision)
    folder = download(config.base_model, revision, only)
    return described(config.base_model, revision, folder, config.base_licence, weights=only == FILES)


def base_of_run(record: dict[str, Any], config: TrainConfig) -> Base:
    """The base that a finished run was trained on, at its commit, whatever the configuration's revision is by now.

    record: run.json. Raises ValueError if a folder holds other weights than the run was trained on.
    """
    recorded = recorded_base(record)
    remembered = remembered_folder(config.run_dir / "adapter")
    if is_local(config.base_model):
        folder = existing(config.base_model)
    elif remembered or recorded.revision is None:
        folder = remembered or existing(recorded.model)
    else:
        folder = download(recorded.model, recorded.revision)
    if weights_of(folder) != recorded.weights:
        raise ValueError(
            f"{folder} holds other weights than {config.run_dir} was trained on: train again, or bring "
            "those weights back"
        )
    return replace(recorded, folder=folder)


def recorded_base(record: dict[str, Any], folder: Path | None = None) -> Base:
    """The base that run.json names. Raises ValueError for a run of a version that recorded less of it."""
    recorded = record["base"]
    if missing := {"licence", "weights", "origin"} - recorded.keys():
        raise ValueError(f"run.json, of an older version, lacks {', '.join(sorted(missing))} of its base: train again")
    return Base(folder=folder, **{key: recorded[key] for key in ("model", "revision", "licence", "weights", "origin")})


def find_tokenizer(config: TrainConfig) -> Path:
    """A folder with the tokenizer of the base that a configuration names; its weights need not be there."""
    if is_local(config.base_model):
        return local_folder(config.base_model)
    return download(config.base_model, commit_of(config.base_model, config.base_revision), TOKENIZER_FILES)


def local_base(config: TrainConfig) -> Base:
    """A base in a folder, with the Hub id and commit that are declared or that its files tell."""
    folder = local_folder(config.base_model)
    model, revision = identity(folder)
    declared = config.base_revision if config.base_revision != "main" else None
    if declared and not COMMIT.fullmatch(declared):
        raise ValueError(f"base_revision={declared}: of a folder give the commit, 40 hexadecimal digits")
    for name, told, found in (("base_id", config.base_id, model), ("base_revision", declared, revision)):
        if told and found and told != found:
            raise ValueError(f"{name}={told}: the files in {folder} say that they are {found}; leave it out")
    model, revision = config.base_id or model, declared or revision
    if config.base_id and not revision:
        raise ValueError(f"base_id={config.base_id}: give the commit that {folder} holds too, as base_revision=COMMIT")
    if not (model and revision):
        model, revision = str(config.public()["base_model"]), None
    return described(model, revision, folder, config.base_licence)


def local_folder(base_model: str) -> Path:
    """The folder of a model; the embedded default is made where it is missing."""
    if Path(base_model) == Path(EMBEDDED) and not Path(EMBEDDED, "config.json").exists():
        from training.embedded import make_embedded_base  # needs torch and gguf, this one time

        make_embedded_base(Path(EMBEDDED))
    return existing(base_model)


def existing(folder: str) -> Path:
    """The folder of a model; raises FileNotFoundError naming what it lacks."""
    path = Path(folder).expanduser()
    for name, what in (("config.json", "no model"), ("tokenizer_config.json", "no tokenizer")):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{folder} holds {what} ({name} is missing): set base_model to a Hub id, or to a folder with a model "
                "and its tokenizer"
            )
    return path


def described(model: str, revision: str | None, folder: Path, licence: str, weights: bool = True) -> Base:
    """A base with what its files say of it."""
    origin = read_json(folder / ORIGIN, "")["origin"] if (folder / ORIGIN).is_file() else ""
    sums = weights_of(folder) if weights else {}
    return Base(model, revision, folder, licence_of(model, folder, licence), sums, origin)


def identity(folder: Path) -> tuple[str | None, str | None]:
    """Hub id and commit, as far as a folder tells: one of the Hub's cache both, one of `hf download` the commit."""
    *_, repo, kind, commit = ("", "", *folder.resolve().parts)
    if kind == "snapshots" and repo.startswith("models--") and COMMIT.fullmatch(commit):
        return repo.removeprefix("models--").replace("--", "/", 1), commit
    marks = (folder / ".cache" / "huggingface" / "download").glob("*.metadata")
    commits = {path.read_text(encoding="utf-8").split("\n")[0] for path in marks}
    return None, commits.pop() if len(commits) == 1 else None


def licence_of(model: str, folder: Path, declared: str) -> str:
    """The Hub's id of a base's licence, from its card, else as it is declared.

    Raises ValueError where neither says it, or they say different things.
    """
    from huggingface_hub import ModelCard  # here and below: half a second that --help needn't wait

    card = folder / "README.md"
    data = ModelCard.load(card).data if card.is_file() else None
    told = data and data.get("license")
    told = told[0] if isinstance(told, list) and len(told) == 1 else told
    if told == "other":  # Meta's older models name theirs beside it
        named = str(data.get("license_name") or "").lower().replace("_", ".")
        told = named if named in LLAMAS else None
    if declared and told and declared != told:
        raise ValueError(f"base_licence={declared}: the card of {model} says {told}; leave base_licence out")
    if not (told or declared):
        raise ValueError(
            f"{model} has no card that names its licence: add --set base_licence=ID, the Hub's id of it "
            "(apache-2.0, llama3.2, mit, …)"
        )
    return told or declared


def weights_of(folder: Path) -> dict[str, str]:
    """Shard -> sha256; raises FileNotFoundError if there is none."""
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise FileNotFoundError(f"{folder} holds no weights as .safetensors: convert them, or take another base")
    return {path.name: checksum(path) for path in shards}


def checksum(path: Path) -> str:
    """A file's sha256; a file of the Hub's cache is named by it."""
    name = path.resolve().name
    return name if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", name) else file_sha256(path)


def base_key(base: Base, config: TrainConfig) -> str:
    """What a run depends on of its base: the content of its files, and the commit where it is loaded from the Hub."""
    paths = sorted(path for pattern in LOADED for path in base.folder.glob(pattern) if path.name != ORIGIN)
    files = {path.name: base.weights.get(path.name) or file_sha256(path) for path in paths}
    return fingerprint(files, None if is_local(config.base_model) else base.revision)


def commit_of(model: str, revision: str) -> str:
    """The commit that a revision of a Hub repository is now; without a network the one that the cache knows.

    Raises PermissionError for a gated repository, FileNotFoundError for one that isn't there or can't be asked for.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import httpx

    if COMMIT.fullmatch(revision):
        return revision
    try:
        return HfApi().model_info(model, revision=revision).sha
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise refusal(model, revision, error) from error
    except (OSError, httpx.HTTPError) as error:
        try:
            folder = snapshot_download(model, revision=revision, allow_patterns=["config.json"], local_files_only=True)
        except OSError:
            raise FileNotFoundError(
                f"{model} at {revision} can't be asked for ({type(error).__name__}) and is not in the cache: check the "
                "network, or give a downloaded folder with --set base_model=FOLDER"
            ) from error
        print(f"base: the Hub can't be asked ({type(error).__name__}), {model} is taken from the cache", flush=True)
        return Path(folder).name


def download(model: str, commit: str, only: tuple[str, ...] = FILES) -> Path:
    """The folder of a commit's files in the cache, fetched where they are missing; raises like `commit_of`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import httpx

    try:
        return Path(snapshot_download(model, revision=commit, allow_patterns=list(only), ignore_patterns=["*/*"]))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise refusal(model, commit, error) from error
    except (OSError, httpx.HTTPError) as error:
        raise FileNotFoundError(
            f"{model} at {commit[:10]} is not in the cache and can't be fetched ({type(error).__name__}): check the "
            "network and the free disk, or give a downloaded folder with --set base_model=FOLDER"
        ) from error


def refusal(model: str, revision: str, error: OSError) -> OSError:
    """Why the Hub gives no such base, and what to do."""
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return PermissionError(
            f"{model} is gated: ask for access on https://huggingface.co/{model}, then log in with `hf auth login` "
            "or HF_TOKEN as the account that was granted it"
        )
    if isinstance(error, RevisionNotFoundError):
        return FileNotFoundError(f"base_revision={revision}: {model} has no such branch, tag or commit")
    return FileNotFoundError(
        f"base_model={model}: the Hub has no such model that this token may see; check the name, or give a folder"
    )


def remember_folder(run_dir: Path, base: Base, config: TrainConfig) -> None:
    """Write where a base in a folder lies, for what runs here before anything is published; forget an earlier one."""
    if is_local(config.base_model):
        write_json(run_dir / WHERE, {"folder": str(base.folder.resolve())})
    else:
        (run_dir / WHERE).unlink(missing_ok=True)


def remembered_folder(adapter: Path) -> Path | None:
    """Where the base of an adapter or bundle in a run's folder lies; None where that isn't known or is gone."""
    path = adapter.resolve().parent / WHERE
    if not path.is_file():
        return None
    folder = Path(json.loads(path.read_text(encoding="utf-8"))["folder"])
    return folder if (folder / "config.json").is_file() else None


def set_base(adapter: Path, base: Base) -> None:
    """Let an adapter name its base by Hub id and commit, not by the folder that it was loaded from."""
    values = read_json(adapter / "adapter_config.json", "training.train")
    values |= {"base_model_name_or_path": base.model, "revision": base.revision}
    values["target_modules"] = sorted(values["target_modules"])  # comes from a set
    write_json(adapter / "adapter_config.json", values)
