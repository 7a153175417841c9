"""Licence texts of a release. Meta's are read from a folder or the Hub, and accepted only with known checksums."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from space.credit import Credit

LLAMA = "llama3.2"  # the Hub's id of the licence
LLAMA_REPO = "meta-llama/Llama-3.2-1B-Instruct"
# bundle name -> (name in LLAMA_REPO, sha256)
LLAMA_FILES = {
    "LICENSE": ("LICENSE.txt", "8cc15535a8a34b41888f644b339a1a9eb428af793a4f5e24df58a3e5b1487d74"),
    "USE_POLICY.md": ("USE_POLICY.md", "40e2777d7faa6beaf98400654170f414d8ab29b921b5163ad4ea0a1d39894201"),
}
LLAMA_NOTICE = (
    "Llama 3.2 is licensed under the Llama 3.2 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
)
CHANGES = (
    "White space was settled, exact duplicates and rows without a question or an answer were left out, and long "
    "answers were cut for training."
)
OWN_LICENCE = Path(__file__).parents[2] / "LICENSE"  # Apache-2.0


def data_notice(source: dict[str, Any]) -> str:
    """What NOTICE says of the training data. source: of data.json."""
    return f"Trained on {Credit.of(source).plain(source['name'])}\n{CHANGES}"


def licence_files(base_licence: str, about_data: str, folder: Path | None) -> dict[str, bytes]:
    """Name in the bundle -> content: the base's licence, Meta's use policy for a Llama, and NOTICE.

    about_data: of `data_notice`. folder: where Meta's two texts lie; None fetches them from the Hub. Raises
    FileNotFoundError where they can't be had, ValueError where one has another checksum or the licence is unknown.
    """
    files = {}
    notices = []
    if base_licence == LLAMA:
        files = {name: llama_text(*expected, folder) for name, expected in LLAMA_FILES.items()}
        notices.append(LLAMA_NOTICE)
    elif base_licence == "apache-2.0":
        files["LICENSE"] = OWN_LICENCE.read_bytes()
    else:
        raise ValueError(f"base_licence={base_licence!r}: only {LLAMA} and apache-2.0 are known; add its text here")
    return files | {"NOTICE": ("\n\n".join([*notices, about_data]) + "\n").encode()}


def llama_text(name: str, checksum: str, folder: Path | None) -> bytes:
    """One of Meta's texts, byte for byte as they publish it; raises as `licence_files` does."""
    path = folder / name if folder else fetch(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: download {name} from https://huggingface.co/{LLAMA_REPO} into {folder}"
        )
    content = path.read_bytes()
    if sha256(content).hexdigest() != checksum:
        raise ValueError(
            f"{path} is not Meta's {name} of Llama 3.2 (its sha256 is not {checksum[:12]}…): download it again"
        )
    return content


def fetch(name: str) -> Path:
    """The file from the Hub's cache or the Hub; raises FileNotFoundError where it can't be had."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(LLAMA_REPO, name))
    except OSError as error:
        raise FileNotFoundError(
            f"{name} of {LLAMA_REPO} can't be fetched ({type(error).__name__}): accept Meta's terms there and log in, "
            "or give a folder that holds LICENSE.txt and USE_POLICY.md with --llama-licence"
        ) from error
