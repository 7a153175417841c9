"""An OpenAI-compatible server under the rules of the chat: notices, output checks, limits, one disclaimer.

`python space/serve.py --adapter FOLDER` answers with the adapter itself; with `--upstream URL` a server such as vLLM,
llama.cpp or Ollama writes the answers, and only the release's contract.toml is needed here. System messages are
refused: the server sends the one that the model was trained with.

This server logs nothing of what is typed; the one at --upstream may. In a stream, a sentence that the checks withdraw
later has already been sent; without `stream` only the whole checked answer is.
"""

import argparse
import socket
import sys
from pathlib import Path
from threading import Thread

from contract import Contract, load_contract
from release import add_options, fetch, find_release, serve_named


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="serve.py", description=__doc__.split("\n")[0], epilog=__doc__.split("\n\n")[-1]
    )
    add_options(parser)
    parser.add_argument("--upstream", metavar="URL", help="an OpenAI-compatible server that writes the answers; its "
                        "key, if it wants one, in $UPSTREAM_API_KEY")  # fmt: skip
    parser.add_argument("--model", default="", help="its name upstream (default: the first there), and here")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, for this machine only")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 takes a free one")
    options = parser.parse_args()
    serve_named(options)
    try:
        listener = socket.create_server((options.host, options.port))
        contract = released_contract() if options.upstream else None
    except (OSError, ValueError) as trouble:
        sys.exit(f"error: {trouble}")

    import serving  # seconds, for which neither --help nor an error waits
    from completions import Upstream, run

    if contract:
        serving.SERVED.assistant = Upstream(options.upstream, contract, options.model)
        serving.SERVED.loaded.set()
        Thread(target=serving.load_table, daemon=True).start()
    else:
        serving.start_loading()
    served, (host, port, *_) = options.model or "med-llama", listener.getsockname()
    print(f"Serving {served} at http://{host}:{port}/v1; Ctrl-C ends it", flush=True)
    run(served, listener)


def released_contract() -> Contract:
    """All that is read of the adapter where another server has its weights."""
    named, only = find_release(), "contract.toml"
    folder = fetch(named.adapter, named.revision, [only]) if named.on_hub else Path(named.adapter)
    return load_contract(folder / only)


if __name__ == "__main__":
    main()
