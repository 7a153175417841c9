"""Publish a plan: push, verify in a fresh process, tag, push the Space; or roll back. All of it can be repeated."""

import tempfile
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import HfApi

from training.network import Unfinished
from training.outputs import read_json, write_json
from training.release import hub, signing
from training.release.bundle import stage_base
from training.release.checks import Check, check_our_space, check_rights, raise_if_failed
from training.release.exports import export_parts
from training.release.plan import Plan, make_plan, refuse, show
from training.release.space import publish_space
from training.release.verify import read_back

REPORT = "published.json"  # in the run's folder: what was released where, and what was checked

Facts = dict[str, Any]  # what verification found


def publish(api: HfApi, options: Namespace) -> None:
    """Make and show the plan, and with --push carry it out; raises ValueError if a check or a gate forbids it."""
    plan = make_plan(api, options)
    show(plan)
    refuse(plan)
    if not options.push:
        print("plan: nothing was pushed, --push does it")
        return
    if plan.base.revision is None:
        push_base(api, plan)
        plan = make_plan(api, options)  # its bundle names the base by its commit
        refuse(plan)
    report = options.run / REPORT
    earlier = read_json(report, "") if report.exists() else {}
    answered = earlier.get("space", {})
    commit, facts = push_adapter(api, plan, earlier)
    record = {
        "repo": options.repo,
        "version": plan.version,
        "commit": commit,
        "base": {"model": plan.base.model, "commit": plan.base.revision},
        "links": [f"{api.endpoint}/{path}" for path in plan.remotes],
        "accepted": plan.accepted,
        "checks": [asdict(check) for check in (*plan.checks, *plan.gates)],
        "verified": facts,
        **({"space": answered} if answered else {}),  # the commit of the Space that answered last
    }
    write_json(report, record)
    push_exports(api, plan)
    if options.space:
        released = replace(plan.remotes[options.repo], head=commit)
        space = publish_space(
            api, options.space, options.space_folder, released, plan.version, plan.bundle, options.export,
            answered["commit"] if answered.get("repo") == options.space else "",
        )  # fmt: skip
        write_json(report, record | {"space": {"repo": options.space, "commit": space}})
    if options.export:
        collect(api, options)
    print(f"done: {options.repo} {plan.version} is released and verified, see {report}")
    print("\n".join(f"  {link}" for link in record["links"]), flush=True)


def push_base(api: HfApi, plan: Plan) -> None:
    """Push a local base to its own repository."""
    options, remote = plan.options, plan.remotes[plan.options.base_repo]
    with tempfile.TemporaryDirectory(prefix="base-") as temporary:
        folder = stage_base(Path(temporary), plan.base, options.repo, options.llama_licence)
        commit = hub.push_folder(api, remote, folder, f"Base of {options.repo}", options.private)
    hub.use_token_for(options.repo, "model")  # which is looked at next
    print(f"push: the base is {plan.base.model} at {hub.short(commit)}", flush=True)


def push_adapter(api: HfApi, plan: Plan, earlier: dict[str, Any]) -> tuple[str, Facts]:
    """Push, verify, tag; returns the released commit and the findings of verification. earlier: an earlier REPORT.

    Content that is released already is pushed again only if main holds something else, and never tagged again.
    """
    options, version = plan.options, plan.version
    repo, remote = options.repo, plan.remotes[options.repo]
    released = remote.tags.get(version)
    message = f"Bring main to {version}" if released else f"Release {version}"
    commit = hub.push_folder(api, remote, plan.bundle, message, options.private)
    if released and commit == remote.head and earlier.get("commit") == released:
        print(f"push: {repo} {version} is released and verified already, at {hub.short(released)}; nothing to do")
        return released, earlier["verified"]
    print(f"push: {repo} is at {hub.short(commit)}", flush=True)
    facts = verify(repo, commit, options.timeout, lenient=options.accept is not None)
    if not released:
        hub.set_tag(api, repo, version, commit, plan.accepted or f"Release {version}")
    print(f"tag: {version} is {hub.short(released or commit)}", flush=True)
    return released or commit, facts


def push_exports(api: HfApi, plan: Plan) -> None:
    """Push each export, read it back from an empty cache, and tag it as the adapter."""
    message = f"Export of {plan.options.repo} {plan.version}"
    for repo, part in export_parts(plan.options).items():
        remote = plan.remotes[repo]
        commit = hub.push_folder(api, remote, part, message, plan.options.private)
        with tempfile.TemporaryDirectory(prefix="export-") as cache:
            found = hub.download(api, remote, commit, Path(cache))
            signed = f", signed by {signing.verify(found)}" if plan.options.sign else ""
            count = len(hub.list_files(api, remote, commit))
        print(f"export: {repo} is at {hub.short(commit)}, {count} files read back{signed}", flush=True)
        hub.set_tag(api, repo, plan.version, commit, message)


def collect(api: HfApi, options: Namespace) -> None:
    """Put adapter, exports and Space into one collection; a token that may not is told, since the release stands."""
    owner, name = options.repo.split("/")
    items: dict[str, Literal["model", "space"]] = dict.fromkeys((options.repo, *options.export), "model")
    if options.space:
        items[options.space] = "space"

    def fill() -> str:
        made = api.create_collection(name, namespace=owner, exists_ok=True)
        for repo, kind in items.items():
            api.add_collection_item(made.slug, repo, item_type=kind, exists_ok=True)
        return made.slug

    try:
        print(f"collection: {hub.retry('filling a collection', fill)} holds {', '.join(items)}", flush=True)
    except (PermissionError, ValueError) as error:
        print(f"collection: none, this token may not ({error}); add {', '.join(items)} by hand")


# Verification


def verify(repo: str, commit: str, timeout: float, lenient: bool) -> Facts:
    """Let a fresh process read a commit back, compare its checksums and ask it; returns its findings.

    lenient: whether an answer that doesn't end is accepted. Raises Unfinished if the Hub failed, ValueError if the
    release is wrong: what is visible now, and what to do.
    """
    print(f"verify: {repo} at {hub.short(commit)}, from an empty cache in a fresh process", flush=True)
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            facts = process.submit(read_back, repo, commit, timeout).result()
        if not facts["ended"] and not lenient:
            raise ValueError(
                f"the answer to the first golden question does not end within {facts['tokens']} tokens; look at it, "
                "and accept it with --accept REASON or train again"
            )
    except BrokenProcessPool as error:
        raise Unfinished(f"{repo}: the verifying process was killed, was there memory enough?") from error
    except Unfinished as error:
        raise Unfinished(f"{repo} at {hub.short(commit)}: {error}") from error
    except (ValueError, OSError) as error:
        raise ValueError(
            f"verification failed: {repo} at {hub.short(commit)}: {error}; no tag was set, but main holds it: push a "
            "better run, or --rollback TAG"
        ) from error
    ended = "ends by itself" if facts["ended"] else "does NOT end by itself"
    signed = f"; the signature fits, by the key with sha256 {facts['signed_by']}" if facts["signed_by"] else ""
    print(f"verify: logits {facts['deviation']:.4f} from those of training, {facts['effect']:.2f} from the base's; the "
          f"golden answer {ended}{signed}", flush=True)  # fmt: skip
    return facts


# Rollback


def roll_back(api: HfApi, options: Namespace) -> None:
    """Push the files of a release to main again, verify them, and pin the Space to it. Tags don't move.

    Raises ValueError if there is no such tag or Space, or the token may not write.
    """
    tag, repo = options.rollback or "", options.repo
    adapter = hub.look_up(api, repo)
    space = hub.look_up(api, options.space, "space") if options.space else None
    if not (released := adapter.tags.get(tag)):
        told = f"it has the tags {', '.join(adapter.tags) or 'none'}" if adapter.head else "it is not there to see"
        raise ValueError(f"--rollback {tag}: there is no such release of {repo}, {told}")
    checks = check_rights(api, [adapter, *([space] if space else [])], required=True)
    if space:
        there = hub.list_files(api, space)
        checks.append(check_our_space(space.repo, there) if there else Check("Space", False, "there is no such Space"))
    raise_if_failed(checks, "nothing was pushed")
    with tempfile.TemporaryDirectory(prefix="rollback-") as temporary:
        cache = Path(temporary)
        bundle = hub.download(api, adapter, released, cache)
        commit = hub.push_folder(api, adapter, bundle, f"Roll back to {tag}")
        print(f"push: main of {repo} is at {hub.short(commit)}, with the files of {tag}", flush=True)
        verify(repo, commit, options.timeout, lenient=True)
        if space:
            app = hub.download(api, space, space.head, cache)  # its own files: only the pin changes
            publish_space(api, space.repo, app, replace(adapter, head=released), tag, bundle)
    print(f"done: {repo} is back at {tag}, and verified; no tag moved", flush=True)
