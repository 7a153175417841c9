"""Export a release for other loaders, each file compared with the adapter: same prompt, same greedy answers.

  --merged  FOLDER/merged: the weights of base and adapter as one model, in the base's precision
  --gguf    FOLDER/gguf: files for llama.cpp, made by its own converter and asked by llama.cpp (extra `export`)
  --ollama  a Modelfile beside them
  --vllm    FOLDER/vllm: the chat template and the command that serves the adapter

ADAPTER is a run's bundle (RUN/bundle) or a Hub id. Nothing is written of a part whose prompts differ.
"""

import argparse
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Parse, then import torch and all that needs it: `--help` need not wait for them."""
    parser = argparse.ArgumentParser(
        prog="export.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("adapter", metavar="ADAPTER", help="a folder with a bundle, or a Hub id (owner/name)")
    add("--revision", help="tag or commit of a Hub id")
    add("--to", type=Path, required=True, metavar="FOLDER", help="where the parts are written; older ones are replaced")
    add("--merged", action="store_true", help="merged weights")
    add("--gguf", nargs="+", choices=("F16", "Q8_0", "Q4_K_M"), default=[], metavar="KIND",
        help="GGUF files: F16, Q8_0, Q4_K_M")  # fmt: skip
    add("--ollama", action="store_true", help="a Modelfile for the last of them")
    add("--vllm", action="store_true", help="the command for vLLM")
    add("--llama-cpp", type=Path, default=Path("outputs/llama.cpp"), metavar="DIR",
        help="llama.cpp's source, built for Q4_K_M (default: %(default)s)")  # fmt: skip
    options = parser.parse_args()
    import_module("training.command").run(lambda: import_module("training.extras.export").main(options))


if __name__ == "__main__":
    main()
