"""What the steps' command lines share: `CONFIG --set KEY=VALUE --force`, and how a user's error ends."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import fields

from training.configs import CONFIGS, TrainConfig, override

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
    try:
        main()
    except USER_ERRORS as error:
        if os.environ.get("TRACEBACK"):
            raise
        sys.exit("error: " + " ".join(str(error).split()))
    except KeyboardInterrupt:
        sys.exit("stopped")
