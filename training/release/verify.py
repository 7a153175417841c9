"""Load a commit from the Hub in a process that knows only its id, and compare it with what was trained.

`python -m training.release.verify OWNER/NAME COMMIT --out FILE` writes its findings as JSON. Exit code 1: the adapter
is wrong; 2: the Hub failed.
"""

import argparse
import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from space.contract import Contract, load_contract
from space.prompt import encode_prompt
from training.model.generate import generate_answers
from training.model.golden import compare_logits, golden_logits
from training.model.load import load_base, load_tokenizer, pick_device
from training.network import Unfinished, plain_errors, redacted
from training.outputs import file_sha256, read_json
from training.release.hub import Remote, connect, download
from training.release.signing import SIGNATURE
from training.release.signing import verify as verify_signature

BASE_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.release.verify", description=__doc__)
    parser.add_argument("repo", metavar="OWNER/NAME")
    parser.add_argument("commit", metavar="COMMIT")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for any answer of the Hub")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="verify-") as cache:
            facts = verify(connect(options.timeout), options.repo, options.commit, Path(cache))
        options.out.write_text(json.dumps(facts), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(redacted(str(error)), file=sys.stderr)
        sys.exit(2 if isinstance(error, Unfinished) else 1)


def verify(api: HfApi, repo: str, commit: str, cache: Path) -> dict[str, Any]:
    """Load the adapter and let it answer; raises ValueError if it is not what was trained.

    cache: an empty folder.
    """
    print("  downloading the adapter", flush=True)
    folder = download(api, Remote(repo, "model"), commit, cache)
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
    signed = (folder / SIGNATURE).exists() and find_spec("model_signing")
    signed_by = verify_signature(folder) if signed else None
    adapter = read_json(folder / "adapter_config.json", "")
    contract = load_contract(folder / "contract.toml")
    tokenizer = load_tokenizer(folder)
    check_golden_ids(folder, tokenizer, contract)
    print(f"  loading the base {adapter['base_model_name_or_path']}", flush=True)
    remote = Remote(adapter["base_model_name_or_path"], "model")
    base = download(api, remote, adapter["revision"], None, BASE_FILES)
    device = pick_device()
    with plain_errors(f"loading {repo}"):
        model = PeftModel.from_pretrained(
            load_base(base, "fp32", device), repo, revision=commit, cache_dir=cache,
            torch_device=device, autocast_adapter_dtype=False,
        ).eval()  # fmt: skip
    recorded = read_json(folder / "run.json", "").get("golden_logits")
    at = {case["name"]: case["token_ids"] for case in recorded["cases"]} if recorded else None
    facts = compare_logits(golden_logits(model, tokenizer, contract, at), recorded)
    print("  answering the first golden question", flush=True)
    return facts | answer(model, tokenizer, contract) | {"files": files, "signed_by": signed_by}


def check_golden_ids(folder: Path, tokenizer: PreTrainedTokenizerBase, contract: Contract) -> None:
    """Raises ValueError naming a golden conversation whose token ids differ from golden.json."""
    for case in json.loads((folder / "golden.json").read_text(encoding="utf-8")):
        if encode_prompt(tokenizer, case["messages"], contract) != case["token_ids"]:
            raise ValueError(f"the golden conversation {case['name']!r} has other token ids than in golden.json")


def answer(model: PeftModel, tokenizer: PreTrainedTokenizerBase, contract: Contract) -> dict[str, Any]:
    """The greedy answer to the first golden conversation; raises ValueError if it is empty."""
    prompt = encode_prompt(tokenizer, list(contract.golden[0].messages), contract)
    [given] = generate_answers(model, tokenizer, [prompt], contract.decoding.max_new_tokens, 1)
    if not given.text:
        raise ValueError("the adapter's answer to the first golden question is empty")
    return {"answer": given.text, "tokens": given.tokens, "ended": given.ended}


if __name__ == "__main__":
    main()
