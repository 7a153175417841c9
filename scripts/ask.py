"""Ask an adapter in the terminal: `ask.py ADAPTER "What are the symptoms of diabetes?"`; without a question chat.

ADAPTER is a folder (RUN/adapter or RUN/bundle) or a Hub id. Answers are greedy, as in scoring, and end with the
disclaimer exactly once. Nothing that is typed is stored.
"""

import argparse
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Parse, then import torch and all that needs it: `--help` need not wait for them."""
    parser = argparse.ArgumentParser(
        prog="ask.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("adapter", metavar="ADAPTER", help="a folder with an adapter, or a Hub id (owner/name)")
    parser.add_argument("question", nargs="?", metavar="QUESTION", help="one question; without it a chat begins")
    parser.add_argument("--revision", help="tag or commit of a Hub id")
    parser.add_argument("--sources", type=Path, metavar="FILE", help="list the pages that fit a question after its "
                        "answer; a table in Parquet with the columns of lavita/MedQuAD")  # fmt: skip
    options = parser.parse_args()
    import_module("training.command").run(lambda: import_module("training.ask").main(options))


if __name__ == "__main__":
    main()
