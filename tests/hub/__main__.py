"""Start a local Hub and print what a client must export; with --space also run the app of a Space."""

import argparse
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

from .server import ACCOUNTS, LocalHub
from .spaces import running_space


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="where files are kept")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--space", metavar="OWNER/NAME", help="run this Space at every push, as the real Hub does")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the Space too
    with LocalHub(options.root, options.port) as hub:
        space = running_space(hub, options.space, options.root / "running") if options.space else nullcontext()
        with space:
            print(f"{hub.endpoint} keeps files under {options.root}. Tokens:")
            for token, account in ACCOUNTS.items():
                print(f"  {token:18} {account.role:5} {account.user} {' '.join(account.orgs)}")
            print("export", *(f"{key}={value}" for key, value in hub.environment().items()), flush=True)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print("stopped")


if __name__ == "__main__":
    main()
