"""Publish a finished run: `publish.py OWNER/NAME` shows what would be pushed, `--push` does it.

  plan     build the bundle, compare it with the Hub, check everything; without --push that is all
  push     one commit, read back into an empty cache, loaded and asked in a fresh process; only then the tag
  --export push what scripts/export.py made and verified, to repositories of their own; the cards link to them
  --space  push space/ pinned to that commit, wait until it runs and answers; restore it if it doesn't

After an interruption run the same command again. Exit code 0: done; 1: refused, the last line says what to change;
2: the Hub or the network failed, run the same command again.
In CI no stored token is needed: set HF_OIDC_RESOURCE=OWNER/NAME (trusted publishing, to existing repositories).
"""

import argparse
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from training.configs import BASE

ROOT = Path(__file__).parents[1]


def main(words: list[str] | None = None) -> int:
    """Run the command and return its exit code. Errors of users, Hub and network end in one line."""
    options = parse(words)
    # Imported here: --help must not wait for transformers.
    from training.command import never_fail_to_print, user_error
    from training.network import Unfinished, redacted
    from training.release.checks import check_options
    from training.release.hub import connect
    from training.release.plan import preflight
    from training.release.publish import publish, roll_back

    never_fail_to_print()
    try:
        check_options(options)
        run = preflight if options.preflight else roll_back if options.rollback else publish
        run(connect(options.timeout), options)
    except Exception as error:
        clear = user_error(error)
        if isinstance(clear, Unfinished):
            print(f"unfinished: {clear}; run the same command again", file=sys.stderr)
            return 2
        print(f"error: {clear}" if clear else redacted(traceback.format_exc()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: run the same command again", file=sys.stderr)
        return 2
    return 0


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="publish.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo", metavar="OWNER/NAME", help="the adapter's repository on the Hub")
    parser.add_argument("--run", type=Path, default=BASE.run_dir, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--version", metavar="vX.Y.Z", help="default: v1.0.0, then the next one")
    parser.add_argument(
        "--accept", type=str.strip, metavar="REASON", help="publish despite a missed gate; the card gives the reason"
    )
    parser.add_argument("--private", action="store_true", help="create the repositories as private ones")
    parser.add_argument("--base-repo", metavar="OWNER/NAME", help="push a base that is a local folder there first")
    parser.add_argument("--space", metavar="OWNER/SPACE", help="push the Space too, pinned to this release")
    parser.add_argument("--space-folder", type=Path, default=ROOT / "space", metavar="DIR", help="default: space/")
    parser.add_argument("--export", action="append", default=[], metavar="OWNER/NAME",
                        help="push RUN/export/gguf (to NAME-GGUF) or RUN/export/merged too; repeatable")  # fmt: skip
    parser.add_argument("--export-folder", type=Path, metavar="DIR", help="where export.py wrote; default: RUN/export")
    parser.add_argument("--llama-licence", "--licence-texts", type=Path, metavar="DIR",
                        help="the base's LICENSE, and of a Llama its USE_POLICY.md")  # fmt: skip
    parser.add_argument("--sign", type=Path, metavar="KEY",
                        help="a private key (PEM) to sign the files with; needs the extra `signing`")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for any answer of the Hub (60)")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
                        help="with --preflight: what the run will be trained with; repeatable")  # fmt: skip
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--push", action="store_true", help="push, verify and tag; without it nothing is pushed")
    action.add_argument("--preflight", action="store_true",
                        help="before training: check token, rights, names, licence, disk")  # fmt: skip
    action.add_argument("--rollback", metavar="TAG", help="push that release's files to main again, pin --space to it")
    return parser.parse_args(words)


class Parser(argparse.ArgumentParser):
    """A parser that ends with exit code 1: argparse's own 2 means here that the Hub failed."""

    def error(self, message: str) -> NoReturn:
        from training.network import redacted

        sys.exit(f"error: {' '.join(redacted(message).split())}; see --help")


if __name__ == "__main__":
    sys.exit(main())
