"""Publish a finished run: `publish.py OWNER/NAME` shows what would be pushed, `--push` does it.

  plan     build the bundle, compare it with the Hub, check everything; without --push that is all
  push     one commit, read back into an empty cache, loaded and asked in a fresh process; only then the tag
  --space  push space/ pinned to that commit, wait until it runs and answers; put it back if it doesn't

Stopped anywhere, the same command finishes the job. Exit code 0: done; 1: refused, the last line says what to change;
2: the Hub or the network failed, the same command goes on.
In CI no stored token is needed: set HF_OIDC_RESOURCE=OWNER/NAME (trusted publishing, to an existing repository).
"""

import argparse
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from training.command import USER_ERRORS
from training.configs import BASE

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from training.release.plan import Wanted

ROOT = Path(__file__).parents[1]


def main() -> None:
    options = parse()
    from training.release.hub import connect

    wanted, api = wanted_of(options), connect(options.timeout)
    if options.preflight:
        from training.release.before_training import before_training

        before_training(api, wanted)
    elif options.rollback:
        from training.release.rollback import roll_back

        roll_back(api, wanted.repo, options.rollback, wanted.space, options.timeout)
    else:
        publish(api, wanted, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="publish.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repo", metavar="OWNER/NAME", help="the adapter's repository on the Hub")
    parser.add_argument("--run", type=Path, default=BASE.run_dir, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--push", action="store_true", help="push, verify and tag; without it nothing is pushed")
    parser.add_argument("--version", metavar="vX.Y.Z", help="default: v1.0.0, then the next one")
    parser.add_argument("--accept", metavar="REASON", help="go on past a missed gate; the card tells the reason")
    parser.add_argument("--private", action="store_true", help="create the repositories as private ones")
    parser.add_argument("--base-repo", metavar="OWNER/NAME", help="push a base that is a local folder there first")
    parser.add_argument("--space", metavar="OWNER/SPACE", help="push the Space too, pinned to this release")
    parser.add_argument("--space-folder", type=Path, default=ROOT / "space", metavar="DIR", help="default: space/")
    parser.add_argument("--llama-licence", type=Path, metavar="DIR", help="LICENSE.txt and USE_POLICY.md of Llama 3.2")
    parser.add_argument("--rollback", metavar="TAG", help="commit that release's files to main again, re-pin --space")
    parser.add_argument("--preflight", action="store_true", help="before training: token, rights, names, licence, disk")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for any answer of the Hub (60)")
    options = parser.parse_args()
    if options.private and options.space:
        parser.error("--private and --space: the public Space can't read a private adapter")
    return options


def wanted_of(options: argparse.Namespace) -> "Wanted":
    """What to release where; raises ValueError for a name that is no repository, or an empty reason."""
    from training.release.plan import Wanted
    from training.release.preflight import check_repo_id

    for key, option in (("repo", ""), ("base_repo", "--base-repo "), ("space", "--space ")):
        if getattr(options, key):
            check_repo_id(option, getattr(options, key))
    if options.accept is not None and not options.accept.strip():
        raise ValueError("--accept: give the reason that the card shall tell")
    keys = ("repo", "run", "version", "base_repo", "space", "space_folder", "accept", "llama_licence")
    return Wanted(**{key: getattr(options, key) for key in keys})


def publish(api: "HfApi", wanted: "Wanted", options: argparse.Namespace) -> None:
    """Plan, and with --push everything after it; raises ValueError where a check or a gate forbids it."""
    from training.release.plan import make_plan, stopping
    from training.release.show import show
    from training.release.steps import print_links, push_adapter, push_base, push_space, write_report

    plan = make_plan(api, wanted, must_ask=options.push)
    show(plan)
    if refused := stopping(plan):
        raise ValueError(f"{'; '.join(refused)}; nothing was pushed")
    if not options.push:
        print("plan: nothing was pushed, --push does it")
        return
    plan = push_base(api, plan, options.private)
    commit, facts = push_adapter(api, plan, options.private, options.timeout)
    write_report(plan, commit, facts, None)
    if wanted.space:
        release = (plan.version, commit)
        space = push_space(api, wanted.repo, wanted.space, plan.bundle, release, wanted.space_folder)
        write_report(plan, commit, facts, space)
    print_links(api, plan)


def end(code: int, kind: str, text: str) -> None:
    """One line, without the token, and the exit code."""
    from training.release.hub import redacted

    print(f"{kind}: {' '.join(redacted(text).split())}", file=sys.stderr)
    sys.exit(code)


def show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Our own bugs end in a traceback, which doesn't show the token either."""
    from training.release.hub import redacted

    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


if __name__ == "__main__":
    sys.excepthook = show_bug
    try:
        main()
    except USER_ERRORS as error:
        from training.release.hub import Unfinished

        if isinstance(error, Unfinished):
            end(2, "unfinished", f"{error}; the same command goes on from here")
        end(1, "error", str(error))
    except KeyboardInterrupt:
        end(2, "stopped", "the same command goes on from here")
