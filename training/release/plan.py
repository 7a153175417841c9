"""What a release would push and whether it may: the bundle built fresh, every check, the difference to the Hub."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.bases import Base
from training.release.base import base_commit, base_of, stage_base
from training.release.gates import Check, Previous, gates
from training.release.preflight import (
    check_base,
    check_belongs,
    check_card,
    check_client,
    check_data,
    check_disk,
    check_golden,
    check_licence,
    check_name,
    check_space_folder,
    check_weights,
    needed_bytes,
)
from training.release.push import Remote, changes, listing, tree
from training.release.rights import (
    check_base_on_hub,
    check_card_on_hub,
    check_only_ours,
    check_our_space,
    check_rights,
    check_visibility,
)
from training.release.source import Notes, Run, build_bundle, read_run, write_card
from training.release.versions import choose_version, files_of_newest, previous_release, released_as, version_of
from training.release.wanted import OnHub, Wanted, look_at_hub

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Plan:
    """A release as it would be pushed. `hub` is None where the Hub was not asked."""

    wanted: Wanted
    run: Run
    base: Base
    hub: OnHub | None
    bundle: Path
    version: str
    notes: Notes
    files: dict[str, list[str]]  # repository -> a line for each file that a push concerns
    checks: list[Check]
    gates: list[Check]
    previous: Previous | None

    @property
    def released(self) -> str | None:
        """The commit under the release's tag, if it has been released already."""
        return self.hub.adapter.commit_of(self.version) if self.hub else None


@contextmanager
def staged(run: Run, base: Base, wanted: Wanted) -> Iterator[Path]:
    """The folder that a local base is pushed from."""
    with tempfile.TemporaryDirectory(prefix="base-") as folder:
        stage_base(Path(folder), base, wanted.repo, wanted.llama_licence)
        yield Path(folder)


def make_plan(api: "HfApi", wanted: Wanted, must_ask: bool) -> Plan:
    """Build the bundle and look at everything; pushes nothing.

    must_ask: whether an unreachable Hub, or a missing token, is an error. Raises ValueError or OSError where no bundle
    can be built.
    """
    run = read_run(wanted.run)
    hub = look_at_hub(api, wanted, must_ask)
    base, base_files = find_base(api, run, hub, wanted)
    bundle = build_bundle(run, base, wanted.llama_licence)
    version, previous = place_among_releases(api, hub, bundle, wanted)
    gated = gates(run.scores, run.data["sha256"]["test"], previous)
    notes = Notes(wanted.space, accepted(wanted, gated))
    write_card(bundle, run, wanted.repo, version, notes)
    states = changes(bundle, main_files(api, hub and hub.adapter))
    files = {wanted.repo: listing(bundle, states)} | base_files
    checks = local_checks(run, base, bundle, wanted)
    if hub:
        checks += check_rights(api, [r for r in hub.all() if r is not hub.base or base.revision is None], must_ask)
        checks += hub_checks(api, hub, base, bundle, wanted)
        checks.append(check_only_ours(states, files_of_newest(api, hub.adapter)))
    if wanted.space and wanted.space_folder.is_dir():
        there = main_files(api, hub and hub.space)
        files[wanted.space] = space_listing(wanted.space_folder, there)
        checks.append(check_our_space(wanted.space, there))
    return Plan(wanted, run, base, hub, bundle, version, notes, files, checks, gated, previous)


def main_files(api: "HfApi", remote: Remote | None) -> dict[str, str]:
    """The checksums of main's files; empty where there is no such repository, or the Hub was not asked."""
    return tree(api, remote, remote.head) if remote and remote.head else {}


def space_listing(folder: Path, there: dict[str, str]) -> list[str]:
    """The Space's files, but for what the push itself writes into them."""
    states = changes(folder, there)
    states.pop("release.json", None)
    state = "changed" if "release.json" in there else "new"
    return [*listing(folder, states), f"  {state:8} {'release.json':36}  written at the push, as the README's preload"]


def find_base(api: "HfApi", run: Run, hub: OnHub | None, wanted: Wanted) -> tuple[Base, dict[str, list[str]]]:
    """The base that the bundle names, with its commit if the Hub holds it already, and a listing if it's pushed."""
    base = base_of(run.record, run.config, wanted.base_repo)
    if not wanted.base_repo:
        return base, {}
    with staged(run, base, wanted) as folder:
        if hub and hub.base:
            base = replace(base, revision=base_commit(api, hub.base, folder))
        there = main_files(api, hub and hub.base)
        return base, {} if base.revision else {base.model: listing(folder, changes(folder, there))}


def place_among_releases(api: "HfApi", hub: OnHub | None, bundle: Path, wanted: Wanted) -> tuple[str, Previous | None]:
    """The release's version, and the newest other release."""
    if hub is None:
        return choose_version(wanted.version, None, None, False), None
    released = released_as(api, hub.adapter, bundle)
    with tempfile.TemporaryDirectory(prefix="plan-") as cache:
        previous = previous_release(api, hub.adapter, released, Path(cache))
    return version_of(api, hub.adapter, bundle, wanted.version, released), previous


def local_checks(run: Run, base: Base, bundle: Path, wanted: Wanted) -> list[Check]:
    """What this machine can say."""
    checks = [
        *(check_name(repo, base.licence) for repo in (wanted.repo, wanted.base_repo) if repo),
        check_licence(base, wanted.llama_licence),
        check_data(run.data["source"], run.config.name),
        check_base(base, wanted.base_repo),
        check_belongs(run),
        check_golden(run),
        check_weights(bundle / "adapter_model.safetensors"),
        check_card(bundle / "README.md", base),
        check_disk(needed_bytes(run, bundle)),
    ]
    return [*checks, check_client(), check_space_folder(wanted.space_folder)] if wanted.space else checks


def hub_checks(api: "HfApi", hub: OnHub, base: Base, bundle: Path, wanted: Wanted) -> list[Check]:
    """What only the Hub can say, but for the rights."""
    checks = [
        check_visibility(hub.all(), wanted.private),
        check_card_on_hub(api, bundle / "README.md", "model"),
        check_base_on_hub(api, base, bool(wanted.space)),
    ]
    readme = wanted.space_folder / "README.md"
    return [*checks, check_card_on_hub(api, readme, "space")] if wanted.space and readme.exists() else checks


def accepted(wanted: Wanted, gated: list[Check]) -> str | None:
    """What the card says of the gates that were missed, and of the publisher's reason."""
    if wanted.accept is None:
        return None
    missed = [f"{gate.name} ({gate.text})" for gate in gated if gate.ok is False]
    return f"{'missed ' + '; '.join(missed) + '. ' if missed else ''}{' '.join(wanted.accept.split())}"


def stopping(plan: Plan) -> list[str]:
    """The checks and gates that forbid the push, each with what to do."""
    missed = [] if plan.wanted.accept else [gate for gate in plan.gates if gate.ok is False]
    texts = [f"{check.name}: {check.text}" for check in (*plan.checks, *missed) if check.ok is False]
    return [*texts, "--accept REASON goes on past a gate"] if missed else texts
