"""Start the chat: `python app.py` on a Space, `python space/app.py --adapter FOLDER` on a machine of one's own."""

import argparse
import os
import sys
from io import TextIOWrapper


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None, or something else, where there is no console
            stream.reconfigure(errors="backslashreplace")  # a console without a character must not fail the page
    parser = argparse.ArgumentParser(prog="app.py", description=__doc__)
    parser.add_argument("--adapter", metavar="DIR", help="a folder with an adapter, or a Hub id; default: $ADAPTER, or "
                        "the release.json beside this file")  # fmt: skip
    parser.add_argument("--revision", help="tag or commit of a Hub id; default: $ADAPTER_REVISION")
    parser.add_argument("--sources", metavar="FILE", help="a table of pages to show beside answers, Parquet with the "
                        "columns of lavita/MedQuAD; default: $SOURCES, or as release.json says")  # fmt: skip
    parser.add_argument("--share", action="store_true", help="also make a temporary public link")
    options = parser.parse_args()
    if options.adapter:
        os.environ |= {"ADAPTER": options.adapter, "ADAPTER_REVISION": options.revision or ""}
    if options.sources:
        os.environ["SOURCES"] = options.sources
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
