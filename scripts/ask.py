"""Ask an adapter in the terminal: `ask.py ADAPTER "What are the symptoms of diabetes?"`; without a question chat.

ADAPTER is a folder (RUN/adapter or RUN/bundle) or a Hub id. It answers under the rules of the Space: notices instead
of an answer where one is due, checked sentences, and the disclaimer exactly once. Nothing that is typed is stored.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

SPACE = Path(__file__).parents[1] / "space"


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
    sys.path.insert(0, str(SPACE))  # the folder's modules import each other by their plain names
    import_module("training.command").run(lambda: import_module("terminal").main(options))


if __name__ == "__main__":
    main()
