"""What the steps' command lines share: `CONFIG --set KEY=VALUE --force`, and how a user's error ends."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from io import TextIOWrapper

from training.configs import CONFIGS, TrainConfig, override
from training.outputs import DiskFull, full_disk
from training.processes import leave_group

# What users and their data get wrong; anything else is our own bug and shows its traceback.
USER_ERRORS = (OSError, ValueError, FloatingPointError)


def parser(step: str, doc: str) -> argparse.ArgumentParser:
    """A step's command line with what all steps take."""
    names = "\n".join(
        f"  {c.name:13} {c.split} split of {c.dataset}; {c.base_model}; r {c.lora_rank}, rate {c.learning_rate:g}"
        for c in CONFIGS.values()
    )
    keys = ", ".join(field.name for field in fields(TrainConfig))
    arguments = argparse.ArgumentParser(
        prog=f"python -m training.{step}",
        description=doc,
        epilog=f"configurations:\n{names}\n\nkeys for --set: {keys}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("config", metavar="CONFIG", choices=CONFIGS, help="a configuration's name, see below")
    arguments.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one field; repeatable"
    )
    arguments.add_argument("--force", action="store_true", help="do the step again even where it is up to date")
    return arguments


def parse(arguments: argparse.ArgumentParser) -> tuple[TrainConfig, argparse.Namespace]:
    """The chosen configuration with its `--set` changes, and the other options."""
    options = arguments.parse_args()
    return override(CONFIGS[options.config], options.set), options


def run(main: Callable[[], None]) -> None:
    """Call `main`; a user's error ends in one line and exit code 1 (the traceback: set TRACEBACK=1)."""
    never_fail_to_print()
    failed = True
    try:
        main()
        failed = False
    except Exception as error:
        told = user_error(error)
        if told is None or os.environ.get("TRACEBACK"):
            raise
        sys.exit(f"error: {told}")
    except KeyboardInterrupt:
        sys.exit("stopped")
    finally:
        leave_group(failed)


def never_fail_to_print() -> None:
    """Print what the console has no character for as an escape, rather than fail after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not so in a test, or without any console
            stream.reconfigure(errors="backslashreplace")


def user_error(error: Exception) -> Exception | None:
    """An error that users, their data, disk, network or token caused, of one line; None for a bug of ours."""
    from training.network import Unfinished, redacted, told

    if not isinstance(error, DiskFull) and (said := full_disk(error)):
        error = DiskFull(f"the disk is full ({said}): free some space and try again")
    found = error if isinstance(error, (DiskFull, Unfinished)) else told(error) or error
    if not isinstance(found, USER_ERRORS):
        return None
    line = redacted(" ".join(str(found).split())) or type(found).__name__
    return Unfinished(line) if isinstance(found, Unfinished) else ValueError(line)
