"""Licence texts of a release: a Llama's come from a folder, the base or the Hub, Llama 3.2's by their checksums."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from space.credit import Credit
from space.licences import LLAMAS
from training.bases import Base

LLAMA_REPO = "meta-llama/Llama-3.2-1B-Instruct"
# of Llama 3.2: name in LLAMA_REPO -> sha256
CHECKSUMS = {
    "LICENSE.txt": "8cc15535a8a34b41888f644b339a1a9eb428af793a4f5e24df58a3e5b1487d74",
    "USE_POLICY.md": "40e2777d7faa6beaf98400654170f414d8ab29b921b5163ad4ea0a1d39894201",
}
# name in the bundle -> its names elsewhere
LICENCE_NAMES = {"LICENSE": ("LICENSE", "LICENSE.txt", "LICENSE.md"), "USE_POLICY.md": ("USE_POLICY.md",)}
CHANGES = (
    "White space was settled, exact duplicates and rows without a question or an answer were left out, and long "
    "answers were cut for training."
)
OWN_LICENCE = Path(__file__).parents[2] / "LICENSE"  # Apache-2.0


def data_notice(source: dict[str, Any]) -> str:
    """What NOTICE says of the training data. source: of data.json."""
    return f"Trained on {Credit.of(source).plain(source['name'])}\n{CHANGES}"


def licence_files(base: Base, about_data: str, folder: Path | None) -> dict[str, bytes]:
    """Name in the bundle -> content: what `base_licence_files` gives, and NOTICE for base and data; raises like it.

    about_data: of `data_notice`.
    """
    notices = [LLAMAS[base.licence].notice, about_data] if base.licence in LLAMAS else [about_data]
    return base_licence_files(base, folder) | {"NOTICE": ("\n\n".join(notices) + "\n").encode()}


def base_licence_files(base: Base, folder: Path | None) -> dict[str, bytes]:
    """The licence of a base and, for a Llama, Meta's use policy and notice.

    folder: where the texts lie; without it they are looked for beside the base, and on the Hub. Raises
    FileNotFoundError where one can't be had, ValueError where one is of another version.
    """
    if base.licence in LLAMAS:
        files = {name: llama_text(name, base, folder) for name in LICENCE_NAMES}
        return files | {"NOTICE": f"{LLAMAS[base.licence].notice}\n".encode()}
    if path := found("LICENSE", folder, base.folder):
        return {"LICENSE": path.read_bytes()}
    if base.licence == "apache-2.0":
        return {"LICENSE": OWN_LICENCE.read_bytes()}
    raise FileNotFoundError(
        f"the licence of {base.model} ({base.licence}) asks for its text, which is not beside the base: give a folder "
        "that holds it as LICENSE with --licence-texts DIR"
    )


def found(name: str, *folders: Path | None) -> Path | None:
    """The first of the folders' files that has one of the names of a text."""
    names = (folder / other for folder in folders if folder for other in LICENCE_NAMES[name])
    return next((path for path in names if path.is_file()), None)


def llama_text(name: str, base: Base, folder: Path | None) -> bytes:
    """One of Meta's texts, byte for byte as they publish it; raises as `base_licence_files` does."""
    path = found(name, folder) if folder else found(name, base.folder)
    if base.licence == "llama3.2" and not folder and not (path and of_version(path, name, base)):
        path = fetch("LICENSE.txt" if name == "LICENSE" else name)
    if path is None:
        raise FileNotFoundError(
            f"{name} of {LLAMAS[base.licence].name} is missing{f' in {folder}' if folder else ''}: download it from "
            f"{LLAMAS[base.licence].url} and give its folder with --llama-licence DIR"
        )
    if not of_version(path, name, base):
        raise ValueError(f"{path} is not Meta's {name} of {LLAMAS[base.licence].name}: download it again")
    return path.read_bytes()


def of_version(path: Path, name: str, base: Base) -> bool:
    """Whether a text is that of the base's version: by checksum where that is known, else by its title."""
    content = path.read_bytes()
    if base.licence == "llama3.2":
        return sha256(content).hexdigest() == CHECKSUMS["LICENSE.txt" if name == "LICENSE" else name]
    return LLAMAS[base.licence].name.lower() in content[:400].decode("utf-8", "replace").lower()


def fetch(name: str) -> Path:
    """A file of LLAMA_REPO, from the cache or the Hub; raises FileNotFoundError where it can't be had."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(LLAMA_REPO, name))
    except OSError as error:
        raise FileNotFoundError(
            f"{name} of {LLAMA_REPO} can't be fetched ({type(error).__name__}): accept Meta's terms there and log in, "
            "or give a folder that holds LICENSE.txt and USE_POLICY.md with --llama-licence"
        ) from error
