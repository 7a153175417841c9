"""llama.cpp: convert a model's folder to GGUF, quantise it, and ask it as llama.cpp's own server does."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub.utils import httpx

from space.contract import Message
from training.model.generate import Generated

CONVERTER, QUANTISER = "convert_hf_to_gguf.py", "llama-quantize"
CONVERTED = {"F16": "f16", "Q8_0": "q8_0"}  # what the converter writes itself; the others are made from F16


def need_tools(llama_cpp: Path, kinds: list[str]) -> None:
    """Raises FileNotFoundError or ValueError with what to do if a tool for these kinds of files is missing."""
    if not (llama_cpp / CONVERTER).is_file():
        raise FileNotFoundError(
            f"{llama_cpp / CONVERTER} is missing: `git clone https://github.com/ggml-org/llama.cpp {llama_cpp}`, or "
            "name a folder that holds llama.cpp's source with --llama-cpp DIR"
        )
    if not set(kinds) <= CONVERTED.keys() and not find_quantiser(llama_cpp):
        build = llama_cpp / "build"
        raise FileNotFoundError(
            f"{QUANTISER} is neither in {build / 'bin'} nor on the PATH: `cmake -B {build} {llama_cpp} && "
            f"cmake --build {build} --target {QUANTISER}`, or leave out all but {' and '.join(CONVERTED)}"
        )
    need_extra("xllamacpp", "sentencepiece")  # the converter imports the latter


def need_extra(*modules: str) -> None:
    """Raises ValueError if a package of the extra `export` is missing."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise ValueError(f"{', '.join(missing)} is not installed: `pip install -e '.[export]'`")


def find_quantiser(llama_cpp: Path) -> str | None:
    return shutil.which(QUANTISER, path=llama_cpp / "build" / "bin") or shutil.which(QUANTISER)


def make_gguf(model: Path, out: Path, kind: str, llama_cpp: Path) -> None:
    """Write a GGUF file of a kind: by the converter from a model's folder, else by the quantiser from its F16 file.

    The name of `out` ends in -KIND.gguf. Raises ValueError with what a tool said if it fails.
    """
    if kind in CONVERTED:
        name = out.name.removesuffix(f"-{kind}.gguf")
        words = [model, "--outtype", CONVERTED[kind], "--model-name", name, "--outfile", out]
        run(sys.executable, llama_cpp / CONVERTER, *words)
        return
    with TemporaryDirectory(dir=out.parent) as folder:
        f16 = Path(folder) / out.name.replace(f"-{kind}.gguf", "-F16.gguf")
        make_gguf(model, f16, "F16", llama_cpp)
        run(find_quantiser(llama_cpp), f16, out, kind)


def run(*words: object) -> None:
    """Run a tool of llama.cpp; raises ValueError with its last line if it fails."""
    done = subprocess.run([*map(str, words)], capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["no message"]
        raise ValueError(f"llama.cpp failed to write GGUF: {said[-1].strip()}")


class LlamaCpp:
    """A GGUF file in llama.cpp's server, in this process, on an address of this machine alone."""

    def __init__(self, gguf: Path, context: int) -> None:
        # Optional, so imported where it is used.
        from xllamacpp import CommonParams, Server

        parameters = CommonParams()
        parameters.model.path = str(gguf)
        parameters.n_ctx, parameters.n_parallel = context, 1
        parameters.verbosity, parameters.warmup = -1, False
        self.server = Server(parameters)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = httpx.post(self.server.listening_address + path, json=body, timeout=None)
        return dict(answer.raise_for_status().json())

    def prompt_ids(self, messages: list[Message]) -> list[int]:
        """The tokens of a conversation, rendered with the template in the file."""
        return self.token_ids(str(self.post("/apply-template", messages=messages)["prompt"]))

    def token_ids(self, text: str) -> list[int]:
        """The tokens that the server makes of a prompt: with BOS if the file asks for it; control tokens are read."""
        return list(self.post("/tokenize", content=text, add_special=True, parse_special=True)["tokens"])

    def answer(self, messages: list[Message], max_tokens: int) -> Generated:
        """The greedy answer to a conversation."""
        # TRAP: the file holds the contract's decoding, of which `temperature` alone would leave the penalty
        greedy = {"temperature": 0, "top_k": 1, "repeat_penalty": 1.0, "cache_prompt": False}
        response = self.server.handle_chat_completions({"messages": messages, "max_tokens": max_tokens} | greedy)
        [choice], tokens = response["choices"], response["usage"]["completion_tokens"]
        return Generated(choice["message"]["content"].strip(), tokens, choice["finish_reason"] == "stop")
