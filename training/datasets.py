"""Find a data set: its files and commit, its title, licence and citation, and its columns."""

import re
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData, HfApi, hf_hub_download
from huggingface_hub.errors import RemoteEntryNotFoundError

from space.credit import Credit
from training.configs import MEDQUAD, TrainConfig, is_local
from training.network import plain_errors
from training.outputs import read_json

SAMPLE = Path(__file__).parent / "data" / "sample.csv"
SUFFIXES = (".csv", ".tsv", ".parquet")
WAIT = 20  # seconds for an answer of the Hub
BIBTEX = re.compile(r"```(?:bibtex|latex)?\s*(@\w+\s*{.*?)\s*```", re.DOTALL)


@dataclass(frozen=True)
class Columns:
    """Names of the columns. `qtype`: empty for the column `qtype` if there is one; `group`: empty for none."""

    question: str = "Question"
    answer: str = "Answer"
    qtype: str = ""
    group: str = ""


MEDQUAD_CREDIT = Credit(
    "MedQuAD",
    "cc-by-4.0",
    "Asma Ben Abacha and Dina Demner-Fushman: A question-entailment approach to question answering. "
    "BMC Bioinformatics 20, 511 (2019).",
)
LAVITA = "lavita/MedQuAD"
# Of the data sets that this project knows: Hub id, or path -> credit, columns.
CREDITS = {
    MEDQUAD: MEDQUAD_CREDIT,
    LAVITA: MEDQUAD_CREDIT,
    str(SAMPLE): Credit("the sample of this project", "apache-2.0", "Written for this project."),
}
COLUMNS = {LAVITA: Columns("question", "answer", "question_type", "question_focus")}


@dataclass(frozen=True)
class Source:
    """Where the rows come from: `revision` is a commit on the Hub, or the sha256 of the local files."""

    name: str
    revision: str
    credit: Credit

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "revision": self.revision} | asdict(self.credit)


def columns_of(config: TrainConfig) -> Columns:
    """The columns that the configuration names, else those of the known data set, else MedQuAD's."""
    chosen = {key: getattr(config, f"{key}_column") for key in asdict(Columns())}
    known = COLUMNS.get(config.dataset, Columns())
    return replace(known, **{key: name for key, name in chosen.items() if name})


def declared_credit(config: TrainConfig) -> Credit:
    """Title, licence and citation from the configuration, completed from the known data set."""
    name = str(Path(config.dataset).resolve()) if is_local(config.dataset) else config.dataset
    declared = Credit(config.dataset_title, config.dataset_licence, config.dataset_citation)
    return declared.completed(CREDITS.get(name, Credit()))


def recorded_source(path: Path) -> dict[str, Any]:
    """The source in the data.json of an earlier `prepare`, or nothing."""
    return read_json(path, "").get("source", {}) if path.exists() else {}


def as_recorded(source: Source, path: Path) -> Source:
    """The source, its credit completed with what an earlier `prepare` of the same data wrote to data.json."""
    before = recorded_source(path)
    if (before.get("name"), before.get("revision")) != (source.name, source.revision):
        return source
    return replace(source, credit=source.credit.completed(Credit.of(before)))


def as_settings(missing: list[str]) -> str:
    """The options that would complete a credit."""
    values = {"title": "TITLE", "licence": "ID", "citation": "TEXT"}
    return " ".join(f"--set dataset_{name}={values[name]}" for name in missing)


def find_source(config: TrainConfig) -> Source:
    """The data set at its current commit or checksum, with its credit; on the Hub completed from its card.

    Raises FileNotFoundError, PermissionError or ValueError if it can't be fetched, Unfinished if the Hub can't be
    reached.
    """
    credit, dataset, revision = declared_credit(config), config.dataset, config.dataset_revision
    if is_local(dataset):
        path = Path(dataset).expanduser()
        digest = sha256()
        for file in local_files(path):
            digest.update(file.read_bytes())
        return Source(path.resolve().name, digest.hexdigest(), credit)
    what = f"dataset={dataset}, dataset_revision={revision}"
    with plain_errors(what, ", or give a local file with --set dataset=FILE"):
        info = HfApi().dataset_info(dataset, revision=revision, timeout=WAIT)
        assert info.sha, "the Hub names the commit of every revision"
        if not all(asdict(credit).values()):
            credit = credit.completed(card_credit(dataset, info.sha, info.card_data or DatasetCardData()))
        return Source(dataset, info.sha, credit)


def local_files(path: Path) -> list[Path]:
    """The CSV, TSV and Parquet files that a path names, sorted; raises FileNotFoundError if there are none."""
    paths = path.iterdir() if path.is_dir() else [path]
    files = sorted(file for file in paths if file.is_file() and file.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f"dataset={path}: {'no CSV, TSV or Parquet file' if path.exists() else 'this file is missing'}; give a "
            ".csv, .tsv or .parquet file, a folder with some, or a Hub id (owner/name)"
        )
    return files


def card_credit(dataset: str, commit: str, metadata: DatasetCardData) -> Credit:
    """The credit in a card on the Hub: `pretty_name`, `license`, and the first BibTeX entry of its text."""
    licence = metadata.get("license")
    if isinstance(licence, list) and len(licence) == 1:
        [licence] = licence
    if not isinstance(licence, str) or licence in ("other", "unknown"):  # a person must say which one applies
        licence = ""
    try:
        path = hf_hub_download(dataset, "README.md", repo_type="dataset", revision=commit)
        entry = BIBTEX.search(Path(path).read_text(encoding="utf-8", errors="replace"))
    except RemoteEntryNotFoundError:
        entry = None
    title = " ".join(str(metadata.get("pretty_name") or "").split())
    return Credit(title, licence, entry[1] if entry else "")
