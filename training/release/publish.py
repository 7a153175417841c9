"""Publish a plan: push, verify in a fresh process, tag, push the Space; or roll back. All of it can be repeated."""

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from training.network import Unfinished
from training.outputs import file_sha256, read_json, write_json
from training.release import hub
from training.release.bundle import build_bundle, write_card
from training.release.checks import Options, check_our_space, check_rights
from training.release.exports import export_parts
from training.release.plan import BASE_TITLE, Plan, make_plan, refusals, show, staged_base
from training.release.space import publish_space

ROOT = Path(__file__).parents[2]

Facts = dict[str, Any]  # what verification found


def publish(api: HfApi, options: Options) -> None:
    """Make and show the plan, and with --push carry it out; raises ValueError if a check or a gate forbids it."""
    plan = make_plan(api, options)
    show(plan)
    if refused := refusals(plan):
        raise ValueError(f"{'; '.join(refused)}; nothing was pushed")
    if not options.push:
        print("plan: nothing was pushed, --push does it")
        return
    plan = push_base(api, plan)
    commit, facts = push_adapter(api, plan)
    write_report(api, plan, commit, facts)
    push_exports(api, plan)
    if options.space:
        remote = hub.Remote(options.repo, "model", commit)
        space = publish_space(
            api, options.space, options.space_folder, remote, plan.version, plan.bundle, options.export
        )
        write_report(api, plan, commit, facts, space)
    if options.export:
        collect(api, plan)
    print(f"done: {options.repo} {plan.version} is released and verified, see {options.run / 'release.json'}")
    print("\n".join(f"  {part:8} {link}" for part, link in links(api, plan).items()), flush=True)


def push_base(api: HfApi, plan: Plan) -> Plan:
    """Push a local base to its own repository, and build the bundle again with its commit."""
    if plan.base.revision:
        return plan
    options = plan.options
    hub.ensure_repo(api, plan.base.model, private=options.private)
    with staged_base(plan.base, options) as folder:
        commit = hub.push_folder(api, hub.look_up(api, plan.base.model), folder, BASE_TITLE + options.repo)
    print(f"push: the base is {plan.base.model} at {hub.short(commit)}", flush=True)
    base = replace(plan.base, revision=commit)
    bundle = build_bundle(plan.run, base, options.llama_licence)
    links = {"space": options.space, "accepted": plan.accepted, "exports": options.export}
    write_card(bundle, plan.run, options.repo, plan.version, options.sign, **links)
    return replace(plan, base=base)


def push_adapter(api: HfApi, plan: Plan) -> tuple[str, Facts]:
    """Push, verify, tag; returns the released commit and the findings of verification.

    Content that is released already is pushed again only if main holds something else, and never tagged again.
    """
    assert plan.remotes, "with --push, a Hub that can't be reached ends the plan"
    repo, version, adapter = plan.options.repo, plan.version, plan.remotes.adapter
    released = adapter.commit_of(version)
    hub.ensure_repo(api, repo, private=plan.options.private)
    remote = adapter if adapter.head else hub.look_up(api, repo)
    commit = hub.push_folder(api, remote, plan.bundle, f"Bring main to {version}" if released else f"Release {version}")
    report = plan.run.config.run_dir / "release.json"
    earlier = read_json(report, "") if report.exists() else {}
    if released and commit == remote.head and earlier.get("commit") == released:
        print(f"push: {repo} {version} is released and verified already, at {hub.short(released)}; nothing to do")
        return released, earlier["verified"]
    print(f"push: {repo} is at {hub.short(commit)}", flush=True)
    facts = verify(repo, commit, plan.bundle, plan.options.timeout, plan.options.accept is not None)
    if not released:
        hub.set_tag(api, repo, version, commit, plan.accepted or f"Release {version}")
    print(f"tag: {version} is {hub.short(released or commit)}", flush=True)
    return released or commit, facts


def push_exports(api: HfApi, plan: Plan) -> None:
    """Push each export, read it back from an empty cache, and tag it as the adapter."""
    assert plan.remotes, "with --push, a Hub that can't be reached ends the plan"
    for remote, (repo, part) in zip(plan.remotes.exports, export_parts(plan.options), strict=True):
        hub.ensure_repo(api, repo, private=plan.options.private)
        seen = remote if remote.head else hub.look_up(api, repo)
        commit = hub.push_folder(api, seen, part, f"Export of {plan.options.repo} {plan.version}")
        with tempfile.TemporaryDirectory(prefix="export-") as cache:
            found = hub.download(api, remote, commit, Path(cache))
            if wrong := hub.differing(hub.changes(part, hub.list_files(api, remote, commit))):
                raise Unfinished(f"{', '.join(sorted(wrong))} of {repo} came back different from what was pushed")
            count = len(hub.local_files(found))
        print(f"export: {repo} is at {hub.short(commit)}, {count} files read back", flush=True)
        hub.set_tag(api, repo, plan.version, commit, f"Export of {plan.options.repo} {plan.version}")


def collect(api: HfApi, plan: Plan) -> None:
    """Put adapter, exports and Space into one collection; a token that may not is told, since the release stands."""
    options = plan.options
    owner, name = options.repo.split("/")
    repos = [options.repo, *options.export, *([options.space] if options.space else [])]
    try:
        made = hub.retry("making a collection", lambda: api.create_collection(name, namespace=owner, exists_ok=True))
        for repo in repos:
            add = partial(api.add_collection_item, made.slug, repo, exists_ok=True)
            add = partial(add, item_type="space" if repo == options.space else "model")
            hub.retry(f"adding {repo} to the collection", add)
        print(f"collection: {made.slug} holds {', '.join(repos)}", flush=True)
    except (PermissionError, ValueError) as error:
        print(f"collection: none, this token may not ({error}); add {', '.join(repos)} by hand")


def write_report(api: HfApi, plan: Plan, commit: str, facts: Facts, space_commit: str | None = None) -> None:
    """Write release.json, what was released, to the run's folder."""
    options = plan.options
    record = {
        "repo": options.repo,
        "version": plan.version,
        "commit": commit,
        "base": {"model": plan.base.model, "commit": plan.base.revision},
        "space": {"repo": options.space, "commit": space_commit} if space_commit else None,
        "links": links(api, plan),
        "accepted": plan.accepted,
        "checks": [asdict(check) for check in (*plan.checks, *plan.gates)],
        "verified": facts,
    }
    write_json(plan.run.config.run_dir / "release.json", record)


def links(api: HfApi, plan: Plan) -> dict[str, str]:
    """Web addresses of the parts of a release."""
    paths = {"adapter": f"{plan.options.repo}/tree/{plan.version}", "base": plan.base.model}
    space = {"space": f"spaces/{plan.options.space}"} if plan.options.space else {}
    exports = {"export" + " " * at: f"{repo}/tree/{plan.version}" for at, repo in enumerate(plan.options.export)}
    return {part: f"{api.endpoint}/{path}" for part, path in (paths | exports | space).items()}


# Verification


def verify(repo: str, commit: str, bundle: Path, timeout: float, lenient: bool) -> Facts:
    """Let a fresh process read a commit back and ask it; returns its findings.

    lenient: whether an answer that doesn't end is accepted. Raises Unfinished if the Hub failed, ValueError if the
    release is wrong: what is visible now, and what to do.
    """
    print(f"verify: {repo} at {hub.short(commit)}, from an empty cache in a fresh process", flush=True)
    try:
        facts = read_back(repo, commit, timeout)
        check_findings(facts, bundle, lenient)
    except Unfinished as error:
        raise Unfinished(f"{repo} at {hub.short(commit)}: {error}") from error
    except (ValueError, OSError) as error:
        raise ValueError(
            f"verification failed: {repo} at {hub.short(commit)}: {error}; no tag was set, but main holds it: push a "
            "better run, or --rollback TAG"
        ) from error
    told = "not recorded" if facts["deviation"] is None else f"{facts['deviation']:.4f} from those of training"
    ended = "ends by itself" if facts["ended"] else "does NOT end by itself"
    print(f"verify: logits {told}, {facts['effect']:.2f} from the base's; the golden answer {ended}", flush=True)
    if facts["signed_by"]:
        print(f"verify: the signature fits, by the key with sha256 {facts['signed_by']}", flush=True)
    return facts


def read_back(repo: str, commit: str, timeout: float) -> Facts:
    """The findings of training.release.verify. It inherits the token: no command line shows it."""
    with tempfile.TemporaryDirectory(prefix="findings-") as temporary:
        findings = Path(temporary) / "findings.json"
        words = [repo, commit, "--timeout", str(timeout), "--out", str(findings)]
        done = subprocess.run(
            [sys.executable, "-m", "training.release.verify", *words], cwd=ROOT, stderr=subprocess.PIPE,
            encoding="utf-8", env=os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return read_json(findings, "")
    if done.returncode < 0:
        raise Unfinished(f"the verifying process was killed by signal {-done.returncode}, was there memory enough?")
    raise (Unfinished if done.returncode == 2 else ValueError)(done.stderr.strip().split("\n")[-1])


def check_findings(facts: Facts, bundle: Path, lenient: bool) -> None:
    """Raises Unfinished if a file came back damaged, ValueError if the answer doesn't end."""
    expected = {name: file_sha256(path) for name, path in hub.local_files(bundle).items()}
    found = {name: checksum for name, checksum in facts.pop("files").items() if name not in hub.KEPT}
    if wrong := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
        raise Unfinished(f"{', '.join(wrong)} came back different from what was pushed")
    if not facts["ended"] and not lenient:
        raise ValueError(
            f"the answer to the first golden question does not end within {facts['tokens']} tokens; look at it, and "
            "accept it with --accept REASON or train again"
        )


# Rollback


def roll_back(api: HfApi, options: Options) -> None:
    """Push the files of a release to main again, verify them, and pin the Space to it. Tags don't move.

    Raises ValueError if there is no such tag or Space, or the token may not write.
    """
    tag, repo = options.rollback or "", options.repo
    remotes = hub.look_up_all(api, repo, None, options.space)
    released = released_commit(remotes.adapter, tag)
    check_rollback(api, remotes)
    with tempfile.TemporaryDirectory(prefix="rollback-") as temporary:
        cache = Path(temporary)
        bundle = hub.download(api, remotes.adapter, released, cache)
        commit = hub.push_folder(api, remotes.adapter, bundle, f"Roll back to {tag}")
        print(f"push: main of {repo} is at {hub.short(commit)}, with the files of {tag}", flush=True)
        verify(repo, commit, bundle, options.timeout, lenient=True)
        if space := remotes.space:
            app = hub.download(api, space, space.main, cache)  # its own files: only the pin changes
            publish_space(api, space.repo, app, replace(remotes.adapter, head=released), tag, bundle)
    print(f"done: {repo} is back at {tag}, and verified; no tag moved")
    print(f"  adapter  {api.endpoint}/{repo}", flush=True)
    if options.space:
        print(f"  space    {api.endpoint}/spaces/{options.space}", flush=True)


def released_commit(remote: hub.Remote, tag: str) -> str:
    """The commit of a tag; raises ValueError naming the existing tags."""
    if remote.head is None:
        raise ValueError(f"--rollback {tag}: there is no repository {remote.repo} that this token may see")
    if released := remote.commit_of(tag):
        return released
    there = ", ".join(name for name, _ in remote.tags) or "none"
    raise ValueError(f"--rollback {tag}: {remote.repo} has no such tag; it has {there}")


def check_rollback(api: HfApi, remotes: hub.Remotes) -> None:
    """Raises ValueError if the Space is missing or not ours, or the token may not write."""
    space = remotes.space
    if space and space.head is None:
        raise ValueError(f"--space {space.repo}: there is no such Space")
    checks = [check_our_space(space.repo, hub.list_files(api, space))] if space else []
    for check in (*checks, *check_rights(api, remotes.all(), required=True)):
        if check.ok is False:
            raise ValueError(f"{check.name}: {check.text}; nothing was pushed")
