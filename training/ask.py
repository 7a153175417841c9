"""Where an adapter and its base are: folders here, or of the Hub's cache."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from training import bases
from training.configs import is_local


def base_folder(adapter: Path, model: str, revision: str | None) -> Path:
    """The folder of the base: as recorded by the run, in a folder above the adapter, or in the Hub's cache."""
    if folder := bases.remembered_folder(adapter):
        return folder
    if is_local(model):
        above = (parent / model for parent in adapter.resolve().parents)
        return next((folder for folder in above if (folder / "config.json").is_file()), None) or bases.existing(model)
    return bases.download(model, revision or bases.commit_of(model, "main"))


def download(adapter: str, revision: str | None) -> Path:
    """The files of an adapter on the Hub; raises FileNotFoundError if it can't be fetched."""
    try:
        return Path(snapshot_download(adapter, revision=revision))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise FileNotFoundError(f"{adapter} is neither a folder here nor an adapter on the Hub") from error
    except OSError as error:
        raise FileNotFoundError(
            f"{adapter} is no folder here and can't be fetched from the Hub ({type(error).__name__}): check the name "
            "and the network"
        ) from error
