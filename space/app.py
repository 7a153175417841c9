"""Start the chat: `python app.py` on a Space, `python space/app.py --adapter FOLDER` on a machine of one's own."""

import argparse
import os
import sys
from io import TextIOWrapper

from release import add_options, serve_named


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None, or something else, where there is no console
            stream.reconfigure(errors="backslashreplace")  # a console without a character must not fail the page
    parser = argparse.ArgumentParser(prog="app.py", description=__doc__)
    add_options(parser)
    parser.add_argument("--share", action="store_true", help="also make a temporary public link")
    options = parser.parse_args()
    serve_named(options)
    # read at import: no analytics
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    import spaces  # noqa: F401  first of all: on ZeroGPU it must see torch before anything else does  # isort: skip
    import serving
    from limits import PROXIES
    from page import LAUNCH, build
    from unlogged import keep_unlogged

    if os.environ.get("SYSTEM") == "spaces":  # elsewhere uvicorn trusts a proxy on this machine only
        os.environ.setdefault("FORWARDED_ALLOW_IPS", PROXIES)
    demo = build()
    serving.start_loading()
    keep_unlogged()
    _, address, _ = demo.launch(share=options.share, prevent_thread_lock=True, **LAUNCH)
    print(f"Open {address} in a browser; Ctrl-C ends it", flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main()
