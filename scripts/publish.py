"""Publish a finished run: `publish.py OWNER/NAME` shows what would be pushed, `--push` does it.

  plan     build the bundle, compare it with the Hub, check everything; without --push that is all
  push     one commit, read back into an empty cache, loaded and asked in a fresh process; only then the tag
  --space  push space/ pinned to that commit, wait until it runs and answers; put it back if it doesn't

Stopped anywhere, the same command finishes the job. Exit code 0: done; 1: refused, the last line says what to change;
2: the Hub or the network failed, the same command goes on.
In CI no stored token is needed: set HF_OIDC_RESOURCE=OWNER/NAME (trusted publishing, to existing repositories).
"""

import argparse
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from training.command import never_fail_to_print, user_error
from training.configs import BASE
from training.release.hub import Unfinished, connect, redacted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from training.release.wanted import Wanted

ROOT = Path(__file__).parents[1]


def main(words: list[str] | None = None) -> int:
    """The command; returns the exit code. What users, the Hub or the network get wrong ends in one line."""
    never_fail_to_print()
    try:
        options = parse(words)
        play(options, wanted_of(options))
    except Exception as error:
        told = user_error(error)
        if told is None:
            raise
        if isinstance(told, Unfinished):
            return end(2, f"unfinished: {told}; the same command goes on from here")
        return end(1, f"error: {told}")
    except KeyboardInterrupt:
        return end(2, "stopped: the same command goes on from here")
    return 0


def end(code: int, text: str) -> int:
    """Print one line, without the token."""
    print(" ".join(redacted(text).split()), file=sys.stderr)
    return code


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="publish.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.error = refuse
    parser.add_argument("repo", metavar="OWNER/NAME", help="the adapter's repository on the Hub")
    parser.add_argument("--run", type=Path, default=BASE.run_dir, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--version", metavar="vX.Y.Z", help="default: v1.0.0, then the next one")
    parser.add_argument("--accept", metavar="REASON", help="go on past a missed gate; the card tells the reason")
    parser.add_argument("--private", action="store_true", help="create the repositories as private ones")
    parser.add_argument("--base-repo", metavar="OWNER/NAME", help="push a base that is a local folder there first")
    parser.add_argument("--space", metavar="OWNER/SPACE", help="push the Space too, pinned to this release")
    parser.add_argument("--space-folder", type=Path, default=ROOT / "space", metavar="DIR", help="default: space/")
    parser.add_argument("--llama-licence", "--licence-texts", type=Path, metavar="DIR",
                        help="the base's LICENSE, and of a Llama its USE_POLICY.md")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for any answer of the Hub (60)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--push", action="store_true", help="push, verify and tag; without it nothing is pushed")
    what.add_argument("--preflight", action="store_true", help="before training: token, rights, names, licence, disk")
    what.add_argument("--rollback", metavar="TAG", help="commit that release's files to main again, re-pin --space")
    return parser.parse_args(words)


def refuse(text: str) -> None:
    """argparse would end with exit code 2, which stands for a Hub that failed."""
    raise ValueError(f"{text}; see --help")


def wanted_of(options: argparse.Namespace) -> "Wanted":
    """What to release where; raises ValueError for a name that is no repository, or words that contradict."""
    from training.release.preflight import check_repo_id
    from training.release.wanted import Wanted

    for key, option in (("repo", ""), ("base_repo", "--base-repo "), ("space", "--space ")):
        if getattr(options, key):
            check_repo_id(option, getattr(options, key))
    if options.base_repo == options.repo:
        raise ValueError(f"--base-repo {options.base_repo}: base and adapter need a repository each")
    if options.private and options.space:
        raise ValueError("--private and --space: the public Space can't read a private adapter")
    if options.accept is not None and not options.accept.strip():
        raise ValueError("--accept: give the reason that the card shall tell")
    if not options.timeout > 0:
        raise ValueError(f"--timeout {options.timeout:g}: give seconds above 0")
    keys = "repo run version accept private base_repo space space_folder llama_licence timeout"
    return Wanted(**{key: getattr(options, key) for key in keys.split()})


def play(options: argparse.Namespace, wanted: "Wanted") -> None:
    """What was asked for; raises ValueError where something forbids it, Unfinished where the Hub failed."""
    api = connect(wanted.timeout)
    if options.preflight:
        from training.release.before_training import before_training

        before_training(api, wanted)
    elif options.rollback:
        from training.release.rollback import roll_back

        roll_back(api, wanted, options.rollback)
    else:
        publish(api, wanted, options.push)


def publish(api: "HfApi", wanted: "Wanted", push: bool) -> None:
    """Plan, and with push everything after it; raises ValueError where a check or a gate forbids it."""
    from training.release.plan import make_plan, stopping
    from training.release.show import show
    from training.release.steps import print_links, push_adapter, push_base, push_space, write_report

    plan = make_plan(api, wanted, must_ask=push)
    show(plan)
    if refused := stopping(plan):
        raise ValueError(f"{'; '.join(refused)}; nothing was pushed")
    if not push:
        print("plan: nothing was pushed, --push does it")
        return
    plan = push_base(api, plan)
    commit, facts = push_adapter(api, plan)
    write_report(api, plan, commit, facts, None)
    if wanted.space:
        release = (plan.version, commit)
        space = push_space(api, wanted.repo, wanted.space, plan.bundle, release, wanted.space_folder)
        write_report(api, plan, commit, facts, space)
    print_links(api, plan)


def show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Our own bugs end in a traceback, which doesn't show the token either."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


if __name__ == "__main__":
    sys.excepthook = show_bug
    sys.exit(main())
