"""The plan of a release: the bundle, built fresh, its version, every check, and what a push would change on the Hub."""

import re
import tempfile
from argparse import Namespace
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from model_card.build import card_text, metadata
from space.licences import LLAMAS
from training.bases import ABOUT_FILES, Base, find_base, recorded_base, remembered_folder
from training.configs import CONFIGS, TrainConfig, override
from training.datasets import as_recorded, find_source
from training.network import Unfinished
from training.outputs import file_sha256, read_json, whole_folder, write_text
from training.release import checks, hub
from training.release.bom import BOM
from training.release.bundle import FROM_ADAPTER, Run, check_bundle, fill_bundle, read_run, stage_base
from training.release.checks import GIB, Check, Previous, Remotes, look_up_all, raise_if_failed
from training.release.exports import complete_export, export_gates, export_parts
from training.release.signing import PUBLIC_KEY, SIGNATURE, place_key, sign
from training.scoring.table import ROUGE_LABELS, VIEWS, points

# What a bundle holds, outside of evaluation/
ABOUT = {"README.md", SIGNATURE, PUBLIC_KEY}  # may change while the version stays
BUNDLED = {*FROM_ADAPTER, "golden.json", "run.json", BOM, "LICENSE", "USE_POLICY.md", "NOTICE", *ABOUT, *hub.KEPT}
VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Plan:
    """A release as it would be pushed."""

    options: Namespace
    run: Run
    base: Base
    remotes: Remotes
    bundle: Path
    version: str
    accepted: str | None  # what the card says about missed gates
    files: list[str]  # the lines that show what would be pushed where
    checks: list[Check]
    gates: list[Check]
    previous: Previous | None


def make_plan(api: HfApi, options: Namespace) -> Plan:
    """Build the bundle and check everything; pushes nothing. Without --push the Hub may be unreachable."""
    run, reached = read_run(options.run), True
    try:
        remotes = look_up_all(options, partial(hub.look_up, api))
    except Unfinished as error:
        if options.push:
            raise
        print(f"plan: the Hub is not asked ({error})")
        remotes, reached = look_up_all(options, hub.Remote), False
    base, files = find_base_repo(api, run_base(run), remotes.get(options.base_repo), options)
    bundle = run.config.run_dir / "release"  # the run's own bundle/ keeps naming the base by its folder
    with whole_folder(bundle) as new:
        fill_bundle(new, run.config, options.llama_licence, base)
    version, previous = choose_version(api, remotes[options.repo], bundle, options.version)
    exports = export_parts(options)
    gates = [
        *checks.gates(run.scores, run.data["sha256"]["test"], previous),
        checks.benchmarks_gate(run.benchmarks),
        *(gate for part in exports.values() for gate in export_gates(part, run.record["adapter_sha256"])),
    ]
    missed = "".join(f"missed {gate.name} ({gate.text}). " for gate in gates if gate.ok is False)
    accepted = missed + " ".join(options.accept.split()) if options.accept else None
    place_key(bundle, options.sign)
    links: dict[str, Any] = {"space": options.space, "accepted": accepted, "exports": options.export}
    write_text(bundle / "README.md", card_text(bundle, options.repo, version, **links))
    check_bundle(bundle)
    sign(bundle, options.sign)
    for part in exports.values():
        complete_export(part, options, version)

    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    needed = 2 * size + 2 * run.record["base"]["parameters"] + GIB // 4  # two copies, and the base in half precision
    found = checks.request_checks(options, base, run.data["source"], run.config.name, needed)
    found += [checks.check_belongs(run), checks.check_weights(bundle / "adapter_model.safetensors")]
    if reached:
        card = (bundle / "README.md").read_text(encoding="utf-8")
        found += checks.hub_checks(api, options, remotes, base, card)
    for repo, part in {options.repo: bundle, **exports}.items():
        states = hub.compare(api, part, remotes[repo])
        files += change_lines(remotes[repo], part, states)
        removed = [name for name, state in states.items() if state == "removed"]
        found.append(checks.check_only_ours(removed, newest_files(api, remotes[repo])))
    if options.space:
        files.append(f"files: {options.space} gets those of {options.space_folder}, pinned to this release")
    return Plan(options, run, base, remotes, bundle, version, accepted, files, found, gates, previous)


def refuse(plan: Plan) -> None:
    """Raises ValueError if a check failed, or a gate without --accept."""
    gates = [] if plan.options.accept else plan.gates
    past = "; --accept REASON goes on past a gate" if any(gate.ok is False for gate in gates) else ""
    raise_if_failed([*plan.checks, *gates], f"nothing was pushed{past}")


# Before training


def preflight(api: HfApi, options: Namespace) -> None:
    """Print every check that needs no run; raises ValueError if any would stop a release."""
    if options.run.name not in CONFIGS:
        raise ValueError(f"--run {options.run}: its last part must be a configuration: {', '.join(CONFIGS)}")
    config = override(CONFIGS[options.run.name], list(options.settings))
    remotes = look_up_all(options, partial(hub.look_up, api))
    base, _ = find_base_repo(api, find_base(config, ABOUT_FILES), remotes.get(options.base_repo), options)
    source = source_of(config, options.run)
    next_version(options.version, None, releases(remotes[options.repo]), False)  # raises if it can't be released
    needed = 10 * GIB if base.licence in LLAMAS else GIB  # base, checkpoints, bundle and its copies
    card = placeholder_metadata(config, base, source, options.repo)
    found = checks.request_checks(options, base, source, config.name, needed)
    found += checks.hub_checks(api, options, remotes, base, card)
    removed = [name for name in hub.list_files(api, remotes[options.repo]) if name not in BUNDLED]
    found.append(checks.check_only_ours(removed, newest_files(api, remotes[options.repo])))
    print(f"preflight: {options.repo}, configuration {config.name}")
    print(checks.check_lines(found), flush=True)
    raise_if_failed(found, "a run of it could not be published")
    print("preflight: a run of this configuration can be published")


def source_of(config: TrainConfig, run: Path) -> dict[str, Any]:
    """The data's source as `prepare` records it, completed with what an earlier `prepare` of the same data was told."""
    return as_recorded(find_source(config), run.resolve().parents[1] / "data" / "data.json").as_json()


def placeholder_metadata(config: TrainConfig, base: Base, source: dict[str, Any], repo: str) -> str:
    """The metadata of the card that a run would have; every score is 0."""
    rouge = {kind: {"mean": 0} for kind in ROUGE_LABELS}
    scores = {"split": "test", "n": 0, "systems": {"tuned": dict.fromkeys(VIEWS, rouge)}}
    data = {"source": source, "split": config.split}
    return f"---\n{metadata({'base': base.record()}, data, scores, repo.split('/')[1])}\n---\n"


# The base


def run_base(run: Run) -> Base:
    """The base of a run: with its commit if it has a Hub id, else with its folder."""
    base = recorded_base(run.record)
    if base.revision:
        return base
    return replace(base, folder=remembered_folder(run.config.run_dir / "adapter") or Path(run.config.base_model))


def find_base_repo(api: HfApi, base: Base, remote: hub.Remote | None, options: Namespace) -> tuple[Base, list[str]]:
    """The base as --base-repo names it, with its commit if that holds it; else also the lines of the files to push.

    Raises ValueError for a base that has a Hub id, since a second copy would hide where it is from, and for a
    repository that holds anything else: a push would remove or replace it.
    """
    if remote is None:
        return base, []
    if base.revision:
        raise ValueError(f"--base-repo {remote.repo}: the base {base.model} is on the Hub already, leave it out")
    base = replace(base, model=remote.repo)
    with tempfile.TemporaryDirectory(prefix="base-") as temporary:
        folder = stage_base(Path(temporary), base, options.repo, options.llama_licence)
        states = hub.compare(api, folder, remote)
        lines = change_lines(remote, folder, states)
    if foreign := [name for name, state in states.items() if state != "new" and name != "README.md"]:
        raise ValueError(
            f"--base-repo {remote.repo} holds another model or other files ({', '.join(foreign)}): give the base a "
            "repository of its own"
        )
    if states.keys() <= {"README.md"}:
        return replace(base, revision=remote.head), []
    return base, lines


# The version, and the releases before


def choose_version(api: HfApi, remote: hub.Remote, bundle: Path, requested: str | None) -> tuple[str, Previous | None]:
    """The version of the bundle, and the release to compare it with."""
    found = releases(remote)
    changed = {tag: hub.compare(api, bundle, remote, remote.tags[tag]).keys() for tag in found}
    released = next((tag for tag in found if changed[tag] <= ABOUT), None)
    same_weights = bool(found) and "adapter_model.safetensors" not in changed[found[0]]
    return next_version(requested, released, found, same_weights), previous_release(api, remote, released)


def releases(remote: hub.Remote) -> list[str]:
    """The tags of the releases, newest first."""
    return sorted(filter(VERSION.fullmatch, remote.tags), key=version_number, reverse=True)


def version_number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.removeprefix("v").split(".")))


def next_version(requested: str | None, released: str | None, found: list[str], same_weights: bool) -> str:
    """The version to release: content that is released already keeps its own.

    released: the version of the same content. found: the released versions, newest first. The first version is
    v1.0.0; then a new minor version, or a patch if the weights are those of the newest. Raises ValueError for a
    requested version that is invalid, not above the newest, or a second version of the same content.
    """
    if requested and not VERSION.fullmatch(requested):
        raise ValueError(f"--version {requested}: expected the form v1.0.0")
    if released:
        if requested not in (None, released):
            raise ValueError(f"--version {requested}: this content is released already, as {released}")
        return released
    if requested and found and version_number(requested) <= version_number(found[0]):
        raise ValueError(f"--version {requested}: {found[0]} is released, and tags never move; give a higher one")
    if requested or not found:
        return requested or "v1.0.0"
    major, minor, patch = version_number(found[0])
    return f"v{major}.{minor}.{patch + 1}" if same_weights else f"v{major}.{minor + 1}.0"


def newest_files(api: HfApi, remote: hub.Remote) -> set[str]:
    """Paths of the newest release."""
    found = releases(remote)
    return set(hub.list_files(api, remote, remote.tags[found[0]])) if found else set()


def previous_release(api: HfApi, remote: hub.Remote, released: str | None) -> Previous | None:
    """The release that main holds, else the newest one, apart from the one being `released`."""
    others = [tag for tag in releases(remote) if tag != released]
    if not others:
        return None
    main = hub.list_files(api, remote)
    tag = next((tag for tag in others if hub.list_files(api, remote, remote.tags[tag]) == main), others[0])
    wanted = ["evaluation/scores-test.json", "evaluation/data.json"]
    with tempfile.TemporaryDirectory(prefix="plan-") as cache:
        folder = hub.download(api, remote, remote.tags[tag], Path(cache), wanted)
        scores, data = (read_json(folder / name, "") for name in wanted)
    return Previous(tag, scores, data["sha256"]["test"])


# For people


def show(plan: Plan) -> None:
    """Print the files, the scores, the checks and the gates."""
    options, runs = plan.options, {"": plan.run.scores}
    if plan.previous:
        runs |= {f"   {plan.previous.tag} has ": plan.previous.scores}
    print(f"plan: {options.repo} {plan.version} from {options.run}")
    print("\n".join(plan.files))
    print("scores: tuned, ROUGE F1 × 100 without the disclaimer")
    for kind, label in ROUGE_LABELS.items():
        told = (whose + points(scores["systems"]["tuned"][VIEWS[0]][kind]) for whose, scores in runs.items())
        print(f"  {label}  {''.join(told)}")
    print("checks", checks.check_lines(plan.checks), sep="\n")
    print("gates" + (f" (accepted: {options.accept})" if options.accept else ""))
    print(checks.check_lines(plan.gates), flush=True)


def change_lines(remote: hub.Remote, folder: Path, states: dict[str, str]) -> list[str]:
    """A line for each file that a push would send or remove: state, path, size and sha256; a count of the others."""
    there = f"main is at {hub.short(remote.head)}" if remote.head else "compared with nothing"
    lines = [f"files: {remote.repo} ({there})"]
    for name, state in states.items():
        path = folder / name
        facts = "" if state == "removed" else f"{path.stat().st_size:>12,} B  sha256 {file_sha256(path)[:16]}…"
        lines.append(f"  {state:8} {name:36}{facts}".rstrip())
    same = sum(path.is_file() and path.relative_to(folder).as_posix() not in states for path in folder.rglob("*"))
    return [*lines, f"  {'same':8} {same} files"] if same else lines
