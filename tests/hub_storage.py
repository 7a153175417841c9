"""What the local Hub keeps on disk, and what it accepts: repositories, cards and the stages of Spaces.

ROOT/models/OWNER/NAME/repo.json          visibility, branches and tags (likewise ROOT/datasets, ROOT/spaces)
ROOT/models/OWNER/NAME/commits/SHA.json   title, parent and files of one commit
ROOT/models/OWNER/NAME/blobs/OID          contents: named by git's sha1, or by the sha256 of an LFS file
ROOT/spaces/OWNER/NAME/space.json         the stages a Space goes through, and where it runs

A commit is never changed and repo.json is replaced by renaming: a killed server keeps its last whole commit.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

KINDS = ("models", "datasets", "spaces")
LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".parquet", ".arrow", ".zip", ".gz", ".png")
LFS_BYTES = 10 * 2**20  # the Hub takes larger files as LFS whatever their name


class HubError(Exception):
    """An answer other than success; the client picks its exception by `code` (X-Error-Code)."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        line = " ".join(message.encode("ascii", "replace").decode().split())  # a header is one line of ASCII
        self.headers = {"X-Error-Message": line, **({"X-Error-Code": code} if code else {}), **headers}


@dataclass(frozen=True)
class File:
    """A file of one commit; `sha256` is set for LFS files, whose `git_oid` is that of their pointer."""

    size: int
    git_oid: str
    sha256: str | None = None

    @property
    def oid(self) -> str:
        """Name of the blob, and the ETag."""
        return self.sha256 or self.git_oid


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def is_lfs(path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub would take this file as LFS; sample: its first 512 bytes."""
    return path.endswith(LFS_SUFFIXES) or size >= LFS_BYTES or b"\0" in sample


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # the one format that the client parses


def write_json(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(value, indent=1), encoding="utf-8")
    half.replace(path)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


class Repo:
    """One repository of the store; made for every request, because the disk alone holds its state."""

    def __init__(self, root: Path, kind: str, repo_id: str) -> None:
        self.kind, self.id, self.folder = kind, repo_id, root / kind / repo_id

    def exists(self) -> bool:
        return (self.folder / "repo.json").is_file()

    def settings(self) -> dict:
        return read_json(self.folder / "repo.json")

    def change(self, **settings: object) -> None:
        write_json(self.folder / "repo.json", self.settings() | settings)

    def create(self, author: str, settings: dict) -> None:
        """Like the Hub, with a first commit: .gitattributes, and a README in a Space."""
        (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
        new = {"createdAt": now(), "gated": False, "branches": {"main": None}, "tags": {}}
        write_json(self.folder / "repo.json", new | settings)
        lines = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        files = {".gitattributes": self.put(lines.encode())}
        if self.kind == "spaces":
            files["README.md"] = self.put(f"---\ntitle: {self.id}\nsdk: {settings['sdk']}\n---\n".encode())
        self.add_commit("main", author, {"summary": "initial commit"}, files)

    # Revisions

    def branch(self, name: str) -> str:
        """Head of a branch; raises HubError if `name` is no branch."""
        branches = self.settings()["branches"]
        if name not in branches:
            raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
        return branches[name]

    def resolve(self, revision: str) -> str:
        """Sha of a branch, a tag or a full sha."""
        if (self.folder / "commits" / f"{revision}.json").is_file():
            return revision
        return self.settings()["tags"].get(revision) or self.branch(revision)

    def commit(self, revision: str) -> dict:
        sha = self.resolve(revision)
        return read_json(self.folder / "commits" / f"{sha}.json") | {"sha": sha}

    def log(self, revision: str) -> list[dict]:
        """Commits up to `revision`, newest first."""
        commits = [self.commit(revision)]
        while commits[-1]["parent"]:
            commits.append(self.commit(commits[-1]["parent"]))
        return commits

    def files(self, revision: str) -> dict[str, File]:
        return {path: File(**entry) for path, entry in self.commit(revision)["files"].items()}

    def add_commit(self, branch: str, author: str, header: dict, files: dict[str, File]) -> str:
        """Make `files` the head of `branch`; header: summary and description, as the client sends them."""
        commit = {
            "title": header["summary"],
            "message": header.get("description", ""),
            "author": author,
            "date": now(),
            "parent": self.branch(branch),
            "files": {path: asdict(files[path]) for path in sorted(files)},
        }
        sha = hashlib.sha1(json.dumps(commit).encode()).hexdigest()
        write_json(self.folder / "commits" / f"{sha}.json", commit)
        self.change(branches=self.settings()["branches"] | {branch: sha})
        return sha

    def add_folder(self, folder: Path) -> str:
        """Make a folder's files the head of main, as a push without the API would."""
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        kept = {name: self.put(content, is_lfs(name, len(content), content[:512])) for name, content in files.items()}
        attributes = {name: file for name, file in self.files("main").items() if name == ".gitattributes"}
        return self.add_commit("main", self.id.split("/")[0], {"summary": "Upload"}, attributes | kept)

    # Contents

    def blob(self, oid: str) -> Path:
        return self.folder / "blobs" / oid

    def put(self, content: bytes, lfs: bool = False) -> File:
        file = File(len(content), git_oid(content))
        if lfs:
            sha256 = hashlib.sha256(content).hexdigest()
            file = File(file.size, git_oid(lfs_pointer(sha256, file.size)), sha256)
        self.blob(file.oid).write_bytes(content)
        return file

    async def put_lfs(self, sha256: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep an uploaded blob if its content has the sha256 that was announced."""
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

    def apply(self, files: dict[str, File], operations: list[dict]) -> dict[str, File]:
        """The files after the operations of a commit request, in their order."""
        files = dict(files)
        for operation in operations:
            key, value = operation["key"], operation["value"]
            path = value["path"].rstrip("/")
            if key == "file":
                files[path] = self.put(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                files[path] = self.lfs_file(value["oid"])
            else:  # deletedFile, deletedFolder
                folder = key == "deletedFolder"
                gone = [p for p in files if p == path or (folder and p.startswith(path + "/"))]
                if not gone:
                    raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
                files = {p: file for p, file in files.items() if p not in gone}
        return files


# Cards

# The ids that the Hub names when it refuses another one
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


# Spaces

NEW_SPACE = {
    "plans": [["BUILDING"]],  # the stages after each push, one at every look; the last plan is used again
    "stages": ["NO_APP_FILE"],  # what is left of the present plan
    "host": None,  # where it runs, such as http://127.0.0.1:7860
    "error": None,
    "hardware": "cpu-basic",
    "pushed": None,  # newest commit
    "sha": None,  # the commit that runs: the newest one only from the end of the plan on
}
SPACE_LOCK = threading.RLock()  # the server looks while a test or rehearsal changes


def read_space(folder: Path) -> dict:
    path = folder / "space.json"
    return NEW_SPACE | (read_json(path) if path.is_file() else {})


def change_space(folder: Path, **changes: object) -> dict:
    with SPACE_LOCK:
        space = read_space(folder) | changes
        write_json(folder / "space.json", space)
    return space


def start_space(repo: Repo) -> dict:
    """Begin the next plan, as a push or a restart does."""
    space = read_space(repo.folder)
    stages = space["plans"][0] if "app.py" in repo.files("main") else ["NO_APP_FILE"]
    pushed = repo.branch("main")
    return change_space(repo.folder, stages=stages, plans=space["plans"][1:] or space["plans"], pushed=pushed)


def look_at_space(folder: Path) -> dict:
    """The Space's state as the runtime endpoint answers it; each look takes the plan one stage further."""
    with SPACE_LOCK:
        space = read_space(folder)
        if len(space["stages"]) == 1:
            space = change_space(folder, sha=space["pushed"])
        else:
            change_space(folder, stages=space["stages"][1:])
    return runtime(space)


def runtime(space: dict) -> dict:
    stage, hardware = space["stages"][0], space["hardware"]
    return {
        "stage": stage,
        "hardware": {"current": hardware if stage == "RUNNING" else None, "requested": hardware},
        "storage": None,
        "gcTimeout": None,
        "sha": space["sha"],
        "errorMessage": space["error"] if stage.endswith("ERROR") else None,
    }
