"""Which adapter is served, where its files are, and what its measurements say.

ADAPTER and ADAPTER_REVISION win over the release.json that publishing puts beside this file. huggingface_hub is only
imported where something is fetched.
"""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from credit import Credit

HERE = Path(__file__).parent
ADAPTER_FILES = ["adapter_*", "*.json", "*.jinja", "*.toml", "evaluation/scores-test.json", "evaluation/data.json"]
BASE_FILES = ["*.safetensors", "*.json"]
HANGING = 10.0  # seconds without a sign of the Hub


@dataclass(frozen=True)
class Data:
    """What an adapter was trained on: the file's or repository's name, whose it is, and what the split may claim."""

    name: str
    credit: Credit
    claim: str = ""


@dataclass(frozen=True)
class Release:
    """What is served: a Hub id at a revision, or a folder. What isn't known of it is empty."""

    adapter: str
    revision: str = ""
    version: str = ""
    date: str = ""
    base: str = ""
    base_revision: str = ""
    licence: str = ""  # the Hub's id of that of the base
    data: Data | None = None
    scores: dict[str, Any] = field(default_factory=dict)  # what it measured of itself
    sources: str = ""  # the data set on the Hub with the table of pages
    sources_revision: str = ""
    sources_file: str = ""

    @property
    def on_hub(self) -> bool:
        return not Path(self.adapter).is_dir()

    @property
    def folder(self) -> str:
        """The name of a local adapter's folder."""
        return Path(self.adapter).name

    @property
    def dated(self) -> str:
        return f"{self.version} of {self.date}" if self.date else self.version


def add_options(parser: ArgumentParser) -> None:
    """The options that name what is served."""
    parser.add_argument("--adapter", metavar="DIR", help="a folder with an adapter, or a Hub id; default: $ADAPTER, or "
                        "the release.json beside this file")  # fmt: skip
    parser.add_argument("--revision", default="", help="tag or commit of a Hub id; default: $ADAPTER_REVISION")
    parser.add_argument("--sources", metavar="FILE", help="a table of pages to show beside answers, Parquet with the "
                        "columns of lavita/MedQuAD; default: $SOURCES, or as release.json says")  # fmt: skip


def serve_named(options: Namespace) -> None:
    """What these options name counts more than the environment."""
    if options.adapter:
        os.environ |= {"ADAPTER": options.adapter, "ADAPTER_REVISION": options.revision}
    if options.sources:
        os.environ["SOURCES"] = options.sources


def find_release(folder: Path = HERE, environment: Mapping[str, str] = os.environ) -> Release:
    """The release to serve; raises FileNotFoundError or ValueError that says how to name one."""
    if adapter := environment.get("ADAPTER"):
        return Release(adapter, environment.get("ADAPTER_REVISION", ""))
    path = folder / "release.json"
    if not path.is_file():
        raise FileNotFoundError(
            "No adapter is named: start with `python app.py --adapter FOLDER`, or set ADAPTER to a folder or a Hub id"
        )
    try:
        return Release(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"release.json can't be read ({error}): publish again, or set ADAPTER") from error


def fetch_table(folder: Path = HERE, environment: Mapping[str, str] = os.environ) -> Path:
    """The table of pages: a file that SOURCES names, or the one of the release; raises OSError with a remedy."""
    if path := environment.get("SOURCES"):
        return Path(path)
    pinned = find_release(folder, {}) if (folder / "release.json").is_file() else Release("")
    if not pinned.sources:
        raise FileNotFoundError("no table of pages is named: start with `python app.py --sources FILE`, or set SOURCES")
    return fetch(pinned.sources, pinned.sources_revision, [pinned.sources_file], "dataset") / pinned.sources_file


def fetch_adapter(release: Release) -> tuple[Path, Release]:
    """The adapter's folder, and the release with exact revision and all that the folder tells filled in."""
    folder = fetch(release.adapter, release.revision, ADAPTER_FILES) if release.on_hub else Path(release.adapter)
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{release.adapter!r} holds no adapter_config.json: name an adapter's folder or Hub id")
    config = json.loads(path.read_text(encoding="utf-8"))
    base = release.base or config["base_model_name_or_path"]
    revision = folder.name if release.on_hub else ""  # a Hub snapshot's folder is named by its commit
    base_revision = release.base_revision or config.get("revision") or ""
    run = read_beside(folder, "run.json", "run.json")
    data = read_beside(folder, "evaluation/data.json", "../../data/data.json")
    source = data.get("source") or run.get("data", {}).get("source")
    claim = data.get("subjects", {}).get("claim", "")
    return folder, replace(
        release, base=base, base_revision=base_revision, revision=revision,
        licence=run.get("base", {}).get("licence", ""),
        data=Data(source["name"], Credit.of(source), claim) if source else None,
        scores=read_beside(folder, "evaluation/scores-test.json", "scores-test.json"),
    )  # fmt: skip


def read_beside(folder: Path, name: str, in_run: str) -> dict[str, Any]:
    """A release's JSON file; of an adapter that is no release yet, the one in the folder of its run; or nothing."""
    places = (folder / name, folder.resolve().parent / in_run)
    path = next((path for path in places if path.is_file()), None)
    return json.loads(path.read_text(encoding="utf-8")) if path else {}


def fetch_base(release: Release) -> Path:
    """The base's folder, of an adapter on the Hub from there, at its commit.

    Of an adapter in a folder the one that its run remembers, else upwards from the adapter, or here, or from the Hub.
    """
    if release.on_hub:
        return fetch(release.base, release.base_revision, BASE_FILES)
    adapter = Path(release.adapter).resolve()
    places = [start / Path(release.base).expanduser() for start in (*adapter.parents, Path.cwd(), HERE.parent)]
    note = adapter.parent / "base.json"
    if note.is_file():
        places.insert(0, Path(json.loads(note.read_text(encoding="utf-8"))["folder"]))
    here = next((place for place in places if (place / "config.json").is_file()), None)
    return here or fetch(release.base, release.base_revision, BASE_FILES)


def fetch(repo: str, revision: str, only: list[str], kind: str = "model") -> Path:
    """A Hub repository's files, from the cache where the Hub can't be asked; raises OSError with a remedy."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import httpx
    from timeouts import wait_at_most

    wait_at_most(float(os.environ.get("HF_HUB_ETAG_TIMEOUT", HANGING)))
    try:
        return Path(snapshot_download(repo, repo_type=kind, revision=revision or None, allow_patterns=only))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise FileNotFoundError(
            f"{repo!r} is no folder here, and not on the Hub or private: check the name, or add a token"
        ) from error
    except (OSError, httpx.TransportError) as error:
        raise ConnectionError(
            f"{repo!r} is no folder here, and can't be fetched from the Hub ({' '.join(str(error).split())[:160]}): "
            "check the name, or wait a minute, then try again"
        ) from error
