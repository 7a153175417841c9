"""The stages of a push, in their order: base, adapter with verification and tag, Space, report."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.outputs import read_json, write_json
from training.release.base import TITLE
from training.release.hub import Unfinished
from training.release.plan import Plan, staged
from training.release.push import Remote, ensure_repo, look, push_folder, set_tag, short
from training.release.readback import read_back
from training.release.source import build_bundle, write_card
from training.release.space import Patience, pin_of, publish_space

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Facts = dict[str, Any]  # what verification found


def push_base(api: "HfApi", plan: Plan) -> Plan:
    """A local base first, in its own repository and commit, which the bundle is then built again to name."""
    if plan.base.revision:
        return plan
    ensure_repo(api, plan.base.model, private=plan.wanted.private)
    with staged(plan.run, plan.base, plan.wanted) as folder:
        commit = push_folder(api, look(api, plan.base.model), folder, TITLE + plan.wanted.repo)
    print(f"push: the base is {plan.base.model} at {short(commit)}", flush=True)
    base = replace(plan.base, revision=commit)
    bundle = build_bundle(plan.run, base, plan.wanted.llama_licence)
    write_card(bundle, plan.run, plan.wanted.repo, plan.version, plan.notes)
    return replace(plan, base=base)


def push_adapter(api: "HfApi", plan: Plan) -> tuple[str, Facts]:
    """Push, verify, tag; returns the released commit and what verification found.

    Content that is released already is pushed again only if main holds something else, and never tagged twice.
    """
    repo, released = plan.wanted.repo, plan.released
    ensure_repo(api, repo, private=plan.wanted.private)
    remote = plan.hub.adapter if plan.hub.adapter.head else look(api, repo)
    title = f"Bring main to {plan.version}" if released else f"Release {plan.version}"
    commit = push_folder(api, remote, plan.bundle, title)
    earlier = earlier_report(plan)
    if released and commit == remote.head and earlier.get("commit") == released:
        print(f"push: {repo} {plan.version} is released and verified already, at {short(released)}; nothing to do")
        return released, earlier["verified"]
    print(f"push: {repo} is at {short(commit)}", flush=True)
    facts = verify(repo, commit, plan.bundle, plan.wanted.timeout, plan.wanted.accept is not None)
    if not released:
        set_tag(api, repo, plan.version, commit, plan.notes.accepted or f"Release {plan.version}")
    print(f"tag: {plan.version} is {short(released or commit)}", flush=True)
    return released or commit, facts


def verify(repo: str, commit: str, bundle: Path, timeout: float, lenient: bool) -> Facts:
    """Read a commit back and let it answer; raises ValueError that says what is visible now and what to do.

    lenient: whether an answer that doesn't end is accepted.
    """
    print(f"verify: {repo} at {short(commit)}, from an empty cache in a fresh process", flush=True)
    try:
        facts = read_back(repo, commit, bundle, timeout, lenient)
    except Unfinished:
        raise
    except (ValueError, OSError) as error:
        raise ValueError(
            f"verification failed: {error}; no tag was set, but main holds it: push a better run, or --rollback TAG"
        ) from error
    told = "not recorded" if facts["deviation"] is None else f"{facts['deviation']:.4f} from those of training"
    ended = "ends by itself" if facts["ended"] else "does NOT end by itself"
    print(f"verify: logits {told}, {facts['effect']:.2f} from the base's; the golden answer {ended}", flush=True)
    return facts


def push_space(api: "HfApi", repo: str, space: str, bundle: Path, release: tuple[str, str], folder: Path) -> str:
    """Push a Space's folder pinned to a release, its (version, commit); returns the Space's commit."""
    version, commit = release
    pin = pin_of(api, Remote(repo, "model"), commit, version, bundle)
    return publish_space(api, space, folder, pin, bundle, Patience())


def earlier_report(plan: Plan) -> dict[str, Any]:
    """What an earlier call reported of this run; empty where there is none."""
    path = plan.run.config.run_dir / "release.json"
    return read_json(path, "") if path.exists() else {}


def write_report(api: "HfApi", plan: Plan, commit: str, facts: Facts, space_commit: str | None) -> None:
    """What was released, as release.json in the run's folder."""
    space = plan.wanted.space
    record = {
        "repo": plan.wanted.repo,
        "version": plan.version,
        "commit": commit,
        "base": {"model": plan.base.model, "commit": plan.base.revision},
        "space": {"repo": space, "commit": space_commit} if space_commit else None,
        "links": links(api, plan),
        "accepted": plan.notes.accepted,
        "checks": [asdict(check) for check in (*plan.checks, *plan.gates)],
        "verified": facts,
    }
    write_json(plan.run.config.run_dir / "release.json", record)


def links(api: "HfApi", plan: Plan) -> dict[str, str]:
    """Where each part can be seen."""
    paths = {"adapter": f"{plan.wanted.repo}/tree/{plan.version}", "base": plan.base.model}
    if plan.wanted.space:
        paths["space"] = f"spaces/{plan.wanted.space}"
    return {part: f"{api.endpoint}/{path}" for part, path in paths.items()}


def print_links(api: "HfApi", plan: Plan) -> None:
    """The last lines: what was done, and where it can be seen."""
    print(f"done: {plan.wanted.repo} {plan.version} is released and verified, see {plan.wanted.run / 'release.json'}")
    print("\n".join(f"  {part:8} {link}" for part, link in links(api, plan).items()), flush=True)
