"""The plan of a release: the bundle, built fresh, its version, every check, and what a push would change on the Hub."""

import re
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from jinja2 import UndefinedError

from model_card.build import card_text, metadata
from space.credit import Credit
from space.licences import LLAMAS
from training.bases import ABOUT_FILES, Base, find_base, recorded_base, remembered_folder
from training.configs import CONFIGS, TrainConfig, override
from training.datasets import find_source
from training.network import Offline, Unfinished
from training.outputs import file_sha256, read_json, write_text
from training.release import checks, hub
from training.release.bom import BOM
from training.release.bundle import FROM_ADAPTER, Run, build_bundle, check_bundle, read_run, stage_base
from training.release.checks import GIB, Check, Options, Previous
from training.release.exports import complete_export, export_gates, export_parts
from training.release.signing import PUBLIC_KEY, SIGNATURE, place_key, sign
from training.scoring.table import ROUGE_LABELS, VIEWS, points

# What a bundle holds, outside of evaluation/
ABOUT = {"README.md", SIGNATURE, PUBLIC_KEY}  # may change while the version stays
BUNDLED = {*FROM_ADAPTER, "golden.json", "run.json", BOM, "LICENSE", "USE_POLICY.md", "NOTICE", *ABOUT, *hub.KEPT}
VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
BASE_TITLE = "Base of "  # begins the title of a commit that pushes a base


@dataclass(frozen=True)
class Plan:
    """A release as it would be pushed."""

    options: Options
    run: Run
    base: Base
    remotes: hub.Remotes
    bundle: Path
    version: str
    accepted: str | None  # what the card says about missed gates
    files: list[str]  # the lines that show what would be pushed where
    checks: list[Check]
    gates: list[Check]
    previous: Previous | None


def make_plan(api: HfApi, options: Options) -> Plan:
    """Build the bundle and check everything; pushes nothing. Without --push the Hub may be unreachable."""
    run, remotes = read_run(options.run), look_up(api, options)
    base, files = find_base_repo(api, run_base(run), remotes, options)
    bundle = build_bundle(run, base, options.llama_licence)
    version, previous = choose_version(api, remotes.adapter, bundle, options.version)
    gates, parts = all_gates(run, bundle, previous, options), export_parts(options)
    accepted = accepted_text(options.accept, gates)
    complete_bundle(bundle, run, version, accepted, options)
    for part in parts:
        complete_export(part, options, version)

    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    needed = 2 * size + 2 * run.record["base"]["parameters"] + GIB // 4  # two copies, and the base in half precision
    found = checks.request_checks(options, base, run.data["source"], run.config.name, needed)
    found += [checks.check_belongs(run), checks.check_weights(bundle / "adapter_model.safetensors")]
    if remotes.adapter.reached:
        card = (bundle / "README.md").read_text(encoding="utf-8")
        found += checks.hub_checks(api, options, remotes, base, card)
    for remote, part in zip((remotes.adapter, *remotes.exports), (bundle, *parts), strict=True):
        states = hub.compare(api, part, remote)
        files += change_lines(remote, part, states)
        if remote.reached:
            removed = [name for name, state in states.items() if state == "removed"]
            found.append(checks.check_only_ours(removed, newest_files(api, remote)))
    if remotes.space and options.space_folder.is_dir():
        files += space_lines(api, remotes.space, options.space_folder)
    return Plan(options, run, base, remotes, bundle, version, accepted, files, found, gates, previous)


def look_up(api: HfApi, options: Options) -> hub.Remotes:
    """The release's repositories. The Hub need not be reached, except with --push."""
    repos = (options.repo, options.base_repo, options.space, options.export)
    try:
        return hub.look_up_all(partial(hub.look_up, api, waits=None if options.push else ()), *repos)
    except (Unfinished, Offline) as error:
        if options.push:
            raise
        print(f"plan: the Hub is not asked ({error})")
        return hub.look_up_all(partial(hub.Remote, reached=False), *repos)


def all_gates(run: Run, bundle: Path, previous: Previous | None, options: Options) -> list[Check]:
    """What the scores, the benchmarks and the exports must reach."""
    adapter = file_sha256(bundle / "adapter_model.safetensors")
    return [
        *checks.gates(run.scores, run.data["sha256"]["test"], previous),
        checks.benchmarks_gate(run.benchmarks),
        *(gate for part in export_parts(options) for gate in export_gates(part, adapter)),
    ]


def complete_bundle(bundle: Path, run: Run, version: str, accepted: str | None, options: Options) -> None:
    """Write the card of a bundle, which reads its other files, then check all and, with a private key, sign them."""
    place_key(bundle, options.sign)
    links: dict[str, Any] = {"space": options.space, "accepted": accepted, "exports": options.export}
    try:
        write_text(bundle / "README.md", card_text(bundle, options.repo, version, **links))
    except UndefinedError as error:
        raise ValueError(
            f"{run.config.run_dir}: the card needs what an older version did not record ({error}): prepare and train "
            "again"
        ) from error
    check_bundle(bundle)
    if options.sign:
        sign(bundle, options.sign)


def accepted_text(reason: str | None, gated: list[Check]) -> str | None:
    """The gates that were missed and the publisher's reason, for the card; None without --accept."""
    if reason is None:
        return None
    missed = [f"{gate.name} ({gate.text})" for gate in gated if gate.ok is False]
    return f"{'missed ' + '; '.join(missed) + '. ' if missed else ''}{' '.join(reason.split())}"


def refusals(plan: Plan) -> list[str]:
    """The failed checks and gates that forbid the push, each with what to do."""
    missed = [] if plan.options.accept else [gate for gate in plan.gates if gate.ok is False]
    texts = [f"{check.name}: {check.text}" for check in (*plan.checks, *missed) if check.ok is False]
    return [*texts, "--accept REASON goes on past a gate"] if missed else texts


# Before training


def preflight(api: HfApi, options: Options) -> None:
    """Print every check that needs no run; raises ValueError if any would stop a release."""
    if options.run.name not in CONFIGS:
        raise ValueError(f"--run {options.run}: its last part must be a configuration: {', '.join(CONFIGS)}")
    config = override(CONFIGS[options.run.name], list(options.settings))
    remotes = hub.look_up_all(partial(hub.look_up, api), options.repo, options.base_repo, options.space)
    base, _ = find_base_repo(api, find_base(config, ABOUT_FILES), remotes, options)
    source = source_of(config, options.run)
    newest = next((tag for tag, _ in releases(remotes.adapter)), None)
    next_version(options.version, None, newest, False)  # raises for a version that can't be released
    needed = 10 * GIB if base.licence in LLAMAS else GIB  # base, checkpoints, bundle and its copies
    card = placeholder_metadata(config, base, source, options.repo)
    found = checks.request_checks(options, base, source, config.name, needed)
    found += checks.hub_checks(api, options, remotes, base, card)
    removed = [name for name in hub.list_files(api, remotes.adapter) if name not in BUNDLED]
    found.append(checks.check_only_ours(removed, newest_files(api, remotes.adapter)))
    print(f"preflight: {options.repo}, configuration {config.name}")
    print("\n".join(checks.check_lines(found)), flush=True)
    if refused := [f"{check.name}: {check.text}" for check in found if check.ok is False]:
        raise ValueError(f"{'; '.join(refused)}; a run of it could not be published")
    print("preflight: a run of this configuration can be published")


def source_of(config: TrainConfig, run: Path) -> dict[str, Any]:
    """The data's source as `prepare` records it, completed with what an earlier `prepare` of the same data was told."""
    source, path = find_source(config), run.resolve().parents[1] / "data" / "data.json"
    before = read_json(path, "")["source"] if path.exists() else {}
    if (before.get("name"), before.get("revision")) == (source.name, source.revision):
        source = replace(source, credit=source.credit.completed(Credit.of(before)))
    return source.as_json()


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


def find_base_repo(api: HfApi, base: Base, remotes: hub.Remotes, options: Options) -> tuple[Base, list[str]]:
    """The base as --base-repo names it, with its commit if that holds it; else also the lines of the files to push.

    Raises ValueError for a base that has a Hub id: a second copy would hide where it is from.
    """
    remote = remotes.base
    if remote is None:
        return base, []
    if base.revision:
        raise ValueError(f"--base-repo {remote.repo}: the base {base.model} is on the Hub already, leave it out")
    base = replace(base, model=remote.repo)
    with tempfile.TemporaryDirectory(prefix="base-") as temporary:
        folder = stage_base(Path(temporary), base, options.repo, options.llama_licence)
        states = hub.compare(api, folder, remote)
        if remote.head and holds_base(api, remote, states):
            return replace(base, revision=remote.head), []
        return base, change_lines(remote, folder, states)


def holds_base(api: HfApi, remote: hub.Remote, states: dict[str, str]) -> bool:
    """Whether main holds the base already, whatever its card says. states: what a push of the base would do.

    Raises ValueError if main holds other files, or another base that no release pushed: a push would remove or
    replace them.
    """
    if foreign := [name for name, state in states.items() if state == "removed"]:
        raise ValueError(f"--base-repo {remote.repo} holds other files ({', '.join(foreign)}): give it one of its own")
    if replaced := [name for name, state in states.items() if state == "changed" and name != "README.md"]:
        log = hub.retry(f"reading the history of {remote.repo}", lambda: api.list_repo_commits(remote.repo))
        if not any(commit.title.startswith(BASE_TITLE) for commit in log):
            raise ValueError(
                f"--base-repo {remote.repo} holds another model ({', '.join(replaced)}), which no release put there: "
                "give the base a repository of its own"
            )
    return states.keys() <= {"README.md"}


# The version, and the releases before


def choose_version(api: HfApi, remote: hub.Remote, bundle: Path, requested: str | None) -> tuple[str, Previous | None]:
    """The version of the bundle, and the release to compare it with."""
    if not (found := releases(remote)):
        return next_version(requested, None, None, False), None
    changed = {tag: hub.compare(api, bundle, remote, commit).keys() for tag, commit in found}
    released = next((tag for tag, names in changed.items() if names <= ABOUT), None)
    latest, _ = found[0]
    same_weights = "adapter_model.safetensors" not in changed[latest]
    with tempfile.TemporaryDirectory(prefix="plan-") as cache:
        previous = previous_release(api, remote, released, Path(cache))
    return next_version(requested, released, latest, same_weights), previous


def releases(remote: hub.Remote) -> list[tuple[str, str]]:
    """(tag, commit) of the releases, newest first."""
    found = [(tag, commit) for tag, commit in remote.tags if VERSION.fullmatch(tag)]
    return sorted(found, key=lambda pair: version_number(pair[0]), reverse=True)


def version_number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.removeprefix("v").split(".")))


def next_version(requested: str | None, released: str | None, latest: str | None, same_weights: bool) -> str:
    """The version to release: content that is released already keeps its own.

    released: the version of the same content. The first version is v1.0.0; then a new minor version, or a patch if the
    weights are the same. Raises ValueError for a requested version that is invalid, not above the latest, or a second
    version of the same content.
    """
    if requested and not VERSION.fullmatch(requested):
        raise ValueError(f"--version {requested}: expected the form v1.0.0")
    if released:
        if requested not in (None, released):
            raise ValueError(f"--version {requested}: this content is released already, as {released}")
        return released
    if requested and latest and version_number(requested) <= version_number(latest):
        raise ValueError(f"--version {requested}: {latest} is released, and tags never move; give a higher one")
    if requested or latest is None:
        return requested or "v1.0.0"
    major, minor, patch = version_number(latest)
    return f"v{major}.{minor}.{patch + 1}" if same_weights else f"v{major}.{minor + 1}.0"


def newest_files(api: HfApi, remote: hub.Remote) -> set[str]:
    """Paths of the newest release."""
    found = releases(remote)
    return set(hub.list_files(api, remote, found[0][1])) if found else set()


def previous_release(api: HfApi, remote: hub.Remote, released: str | None, cache: Path) -> Previous | None:
    """The release that main holds, else the newest one, apart from the one being `released`.

    cache: an empty folder, since the client's own may hold a damaged file.
    """

    def files(commit: str) -> set[tuple[str, str]]:
        return {pair for pair in hub.list_files(api, remote, commit).items() if pair[0] not in hub.KEPT}

    def read(name: str, commit: str) -> dict[str, Any]:
        path = api.hf_hub_download(remote.repo, f"evaluation/{name}", revision=commit, cache_dir=cache)
        return read_json(Path(path), "")

    others = [pair for pair in releases(remote) if pair[0] != released]
    if not others:
        return None
    main = files(remote.main)
    tag, commit = next((pair for pair in others if files(pair[1]) == main), others[0])
    scores = hub.retry(f"reading the scores of {tag}", lambda: read("scores-test.json", commit))
    data = hub.retry(f"reading the data of {tag}", lambda: read("data.json", commit))
    return Previous(tag, scores, data["sha256"]["test"])


# For people


def show(plan: Plan) -> None:
    """Print the files, the scores, the checks and the gates."""
    options = plan.options
    print(f"plan: {options.repo} {plan.version} from {options.run}")
    print("\n".join(plan.files))
    print("scores: tuned, ROUGE F1 × 100 without the disclaimer")
    for kind, label in ROUGE_LABELS.items():
        line, previous = f"  {label}  {tuned_points(plan.run.scores, kind)}", plan.previous
        print(line + (f"   {previous.tag} has {tuned_points(previous.scores, kind)}" if previous else ""))
    print("checks")
    print("\n".join(checks.check_lines(plan.checks)))
    print("gates" + (f" (accepted: {options.accept})" if options.accept else ""))
    print("\n".join(checks.check_lines(plan.gates)), flush=True)


def tuned_points(scores: dict[str, Any], kind: str) -> str:
    return points(scores["systems"]["tuned"]["without disclaimer"][kind])


def change_lines(remote: hub.Remote, folder: Path, states: dict[str, str]) -> list[str]:
    """A line for each file that a push would send or remove: state, path, size and sha256; a count of the others."""
    there = f"main is at {hub.short(remote.head)}" if remote.head else "not there yet"
    lines = [f"files: {remote.repo} ({there if remote.reached else 'compared with nothing'})"]
    files = hub.local_files(folder)
    for name, state in states.items():
        path = files.pop(name, None)
        facts = f"{path.stat().st_size:>12,} B  sha256 {file_sha256(path)[:16]}…" if path else ""
        lines.append(f"  {state:8} {name:36}{facts}".rstrip())
    return [*lines, f"  {'same':8} {len(files)} files"] if files else lines


def space_lines(api: HfApi, remote: hub.Remote, folder: Path) -> list[str]:
    """The lines of a Space's folder; the push itself also writes release.json and the README's preload."""
    states = hub.compare(api, folder, remote)
    state = "changed" if states.pop("release.json", None) else "new"
    written = f"  {state:8} {'release.json':36}  written at the push, as the README's preload"
    return [*change_lines(remote, folder, states), written]
