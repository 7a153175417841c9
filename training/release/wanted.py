"""What a publisher asked for, and what the Hub holds of it now."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.network import Offline, Unfinished
from training.release.push import Remote, look

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Wanted:
    """What the publisher asked for on the command line."""

    repo: str
    run: Path
    version: str | None = None
    accept: str | None = None
    private: bool = False
    base_repo: str | None = None
    space: str | None = None
    space_folder: Path = Path("space")
    llama_licence: Path | None = None
    timeout: float = 60


@dataclass(frozen=True)
class OnHub:
    """The repositories as they are on the Hub; None where one isn't asked for."""

    adapter: Remote
    base: Remote | None
    space: Remote | None

    def all(self) -> list[Remote]:
        return [remote for remote in (self.adapter, self.base, self.space) if remote]


def look_at_hub(api: "HfApi", wanted: Wanted, must: bool) -> OnHub | None:
    """All repositories of a release; where the Hub can't be reached None, or its error if it must be."""
    waits = None if must else ()
    try:
        adapter = look(api, wanted.repo, waits=waits)
        base = look(api, wanted.base_repo, waits=waits) if wanted.base_repo else None
        return OnHub(adapter, base, look(api, wanted.space, "space", waits) if wanted.space else None)
    except (Unfinished, Offline) as error:
        if must:
            raise
        print(f"plan: the Hub is not asked ({error})")
        return None
