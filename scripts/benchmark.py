"""Measure our training and scoring beside the first users' recipe and trl's defaults, on the same base and rows.

  training  useful (non-padding) tokens per second, and peak memory
  scoring   new tokens per second, and whether the answers are the same

Takes about a quarter of an hour on two cores, on which nothing else should run.
"""

import argparse
import os
from importlib import import_module
from pathlib import Path

from training.__main__ import above_zero
from training.configs import EMBEDDED, MEDQUAD_SMOLLM2


def main() -> None:
    """Parse, then import torch and all that needs it: `--help` need not wait for them."""
    parser = argparse.ArgumentParser(
        prog="benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shape", choices=("135m", "1b"), default="135m",
        help="135m: the embedded base; 1b: random weights of Llama 3.2 1B's shape, for a GPU")  # fmt: skip
    add("--base", type=Path, metavar="DIR",
        help=f"another base; with --shape 1b only its tokenizer is used (default: {EMBEDDED})")  # fmt: skip
    add("--device", choices=("cpu", "cuda"), help="default: cuda if there is a GPU")
    add("--data", type=Path, default=MEDQUAD_SMOLLM2.data_dir, metavar="DIR", help="prepared data (%(default)s)")
    add("--rows", type=above_zero, default=16, metavar="N", help="rows to train on (%(default)s)")
    add("--questions", type=above_zero, default=64, metavar="N", help="questions to answer (%(default)s)")
    add("--new-tokens", type=above_zero, default=96, metavar="N", help="limit of an answer (%(default)s)")
    add("--rounds", type=above_zero, default=1, metavar="N", help="rounds of training (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read when torch looks for a GPU, here and in each recipe's process
    import_module("training.command").run(lambda: import_module("training.extras.speed").main(options))


if __name__ == "__main__":
    main()
