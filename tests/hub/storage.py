"""Repositories, cards and Spaces of the local Hub: state in memory, contents of files on disk."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".parquet", ".arrow", ".zip", ".gz", ".png")
LFS_BYTES = 10 * 2**20  # the Hub stores larger files as LFS whatever their name


class HubError(Exception):
    """An HTTP error; the client chooses its exception by `code` (X-Error-Code)."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        line = " ".join(message.encode("ascii", "replace").decode().split())  # a header is one line of ASCII
        self.headers = {"X-Error-Message": line, **({"X-Error-Code": code} if code else {}), **headers}


@dataclass(frozen=True)
class File:
    """A file of a commit; `sha256` is set for LFS files, whose `git_oid` is that of their pointer."""

    size: int
    git_oid: str
    sha256: str | None = None

    @property
    def oid(self) -> str:
        """Name of the blob, and the ETag."""
        return self.sha256 or self.git_oid


@dataclass(frozen=True)
class Commit:
    sha: str
    title: str
    author: str
    date: str
    parent: str | None
    files: dict[str, File]


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def is_lfs(path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub would store this file as LFS; sample: its first 512 bytes."""
    return path.endswith(LFS_SUFFIXES) or size >= LFS_BYTES or b"\0" in sample


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # the format that the client parses


@dataclass
class Space:
    """How a Space runs. `plans`: for each push the stages that follow it, one per look; the last one is reused."""

    plans: list[list[str]] = field(default_factory=lambda: [["BUILDING"]])
    stages: list[str] = field(default_factory=lambda: ["NO_APP_FILE"])  # what is left of the current plan
    host: str | None = None  # such as http://127.0.0.1:7860
    error: str | None = None
    hardware: str = "cpu-basic"
    pushed: str | None = None  # newest commit
    sha: str | None = None  # the commit that runs, the newest one from the end of its plan on

    def start(self, commit: str, has_app: bool) -> None:
        """Begin the next plan, as a push does."""
        self.pushed, self.stages = commit, ["NO_APP_FILE"]
        if has_app:
            self.stages, self.plans = list(self.plans[0]), self.plans[1:] or self.plans

    def look(self) -> dict:
        """The answer of the runtime endpoint; each look moves the plan one stage further."""
        if len(self.stages) == 1:
            self.sha = self.pushed
        answer = self.runtime()
        self.stages = self.stages[1:] or self.stages
        return answer

    def runtime(self) -> dict:
        stage = self.stages[0]
        return {
            "stage": stage,
            "hardware": {"current": self.hardware if stage == "RUNNING" else None, "requested": self.hardware},
            "storage": None,
            "gcTimeout": None,
            "sha": self.sha,
            "errorMessage": self.error if stage.endswith("ERROR") else None,
        }


class Repo:
    """A repository; it exists once it has a commit."""

    def __init__(self, root: Path, kind: str, repo_id: str) -> None:
        self.kind, self.id, self.blobs = kind, repo_id, root / kind / repo_id
        self.head: str | None = None  # commit of main
        self.commits: dict[str, Commit] = {}
        self.tags: dict[str, str] = {}
        self.private, self.gated, self.sdk = False, False, None
        self.space = Space()

    def create(self, author: str, private: bool = False, sdk: str | None = None) -> None:
        """As on the Hub, with a first commit: .gitattributes, and a README in a Space."""
        self.private, self.sdk = private, sdk
        self.blobs.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        files = {".gitattributes": self.put(lines.encode())}
        if self.kind == "spaces":
            files["README.md"] = self.put(f"---\ntitle: {self.id}\nsdk: {sdk}\n---\n".encode())
        self.add_commit(author, "initial commit", files)

    # Revisions

    def commit(self, revision: str = "main") -> Commit:
        """The commit of main, of a tag or of a sha; raises HubError if there is none."""
        sha = self.head if revision == "main" else self.tags.get(revision, revision)
        if sha not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[sha]

    def log(self, revision: str = "main") -> list[Commit]:
        """Commits up to `revision`, newest first."""
        commits = [self.commit(revision)]
        while commits[-1].parent:
            commits.append(self.commits[commits[-1].parent])
        return commits

    def add_commit(self, author: str, title: str, files: dict[str, File]) -> str:
        """Make `files` the content of main."""
        files, date = dict(sorted(files.items())), now()
        content = json.dumps([title, author, date, self.head, {path: file.oid for path, file in files.items()}])
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = Commit(sha, title, author, date, self.head, files)
        self.head = sha
        if self.kind == "spaces":
            self.space.start(sha, "app.py" in files)
        return sha

    def add_folder(self, folder: Path) -> str:
        """Make a folder's files the content of main, as its owner's push would."""
        paths = (path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        kept = {name: self.put(content, is_lfs(name, len(content), content[:512])) for name, content in files.items()}
        attributes = {".gitattributes": self.commit().files[".gitattributes"]}
        return self.add_commit(self.id.split("/")[0], "Upload", attributes | kept)

    # Contents

    def blob(self, oid: str) -> Path:
        return self.blobs / oid

    def contents(self, revision: str = "main") -> dict[str, bytes]:
        """Path -> content of a commit's files, without the Hub's own .gitattributes."""
        files = self.commit(revision).files
        return {path: self.blob(file.oid).read_bytes() for path, file in files.items() if path != ".gitattributes"}

    def put(self, content: bytes, lfs: bool = False) -> File:
        file = File(len(content), git_oid(content))
        if lfs:
            sha256 = hashlib.sha256(content).hexdigest()
            file = File(file.size, git_oid(lfs_pointer(sha256, file.size)), sha256)
        self.blob(file.oid).write_bytes(content)
        return file

    async def put_lfs(self, sha256: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep an uploaded blob if it has the sha256 that was announced."""
        half, digest = self.blob(f"{sha256}.half"), hashlib.sha256()
        with half.open("wb") as out:
            async for chunk in chunks:
                out.write(chunk)
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            half.unlink()
            raise HubError(400, f"uploaded content has sha256 {digest.hexdigest()}, announced was {sha256}")
        half.replace(self.blob(sha256))

    def lfs_file(self, sha256: str) -> File:
        blob = self.blob(sha256)
        if not re.fullmatch("[0-9a-f]{64}", sha256) or not blob.is_file():
            raise HubError(400, f"LFS pointer points to {sha256}, which was never uploaded")
        size = blob.stat().st_size
        return File(size, git_oid(lfs_pointer(sha256, size)), sha256)

    def apply(self, operations: list[dict]) -> dict[str, File]:
        """The files of main after the operations of a commit request."""
        files = dict(self.commit().files)
        for operation in operations:
            key, value = operation["key"], operation["value"]
            if key == "file":
                files[value["path"]] = self.put(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                files[value["path"]] = self.lfs_file(value["oid"])
            elif files.pop(value["path"], None) is None:  # deletedFile
                raise HubError(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")
        return files


# Cards

# The ids that the Hub accepts
LICENSES = """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m
    bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
    creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
    fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research
    intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4
    lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openmdw-1.0 openrail openrail++ osl-3.0 other
    pddl postgresql unknown unlicense wtfpl zlib
"""
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SPACE_CHOICES = {"sdk": {"gradio", "docker", "static", "streamlit"}, "colorFrom": COLORS, "colorTo": COLORS}


def metadata(readme: str) -> object:
    """The YAML block that a card begins with, None without one; raises yaml.YAMLError."""
    block = re.match(r"\s*---[\r\n]+([\S\s]*?)[\r\n]+---(\r\n|\n|$)", readme)
    return yaml.safe_load(block[1]) if block else None


def card_errors(readme: str, kind: str) -> list[str]:
    """What the Hub refuses in a card, one sentence each; only the rules that our cards might break."""
    try:
        card = metadata(readme) or {}
    except yaml.YAMLError as error:
        return [f"YAML metadata is invalid: {' '.join(str(error).split())}"]
    if not isinstance(card, dict):
        return [f"YAML metadata must be a mapping, not {type(card).__name__}"]
    space = kind == "spaces"
    errors = ['"sdk" is required'] if space and card and "sdk" not in card else []
    for key, allowed in ({"license": LICENSES.split()} | (SPACE_CHOICES if space else {})).items():
        values = card[key] if isinstance(card.get(key), list) else [card.get(key)]
        if any(value is not None and value not in allowed for value in values):
            errors.append(f'"{key}" must be one of [{", ".join(sorted(allowed))}]')
    if len(str(card.get("short_description", ""))) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    for number, entry in enumerate(card.get("model-index") or []):
        missing = [key for key in ("name", "results") if key not in entry]
        errors += [f'"model-index[{number}].{key}" is required' for key in missing]
    return errors
