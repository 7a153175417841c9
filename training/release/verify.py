"""Load what the Hub holds in a process that knows its id and commit alone, and compare it with what was trained.

`python -m training.release.verify OWNER/NAME COMMIT` prints what it found, as JSON in its last line. It exits with 1
where the adapter is wrong, with 2 where the Hub failed.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.outputs import file_sha256, read_json
from training.release.golden import golden_logits, judge
from training.release.hub import Unfinished, asked, connect, plain_errors, redacted
from training.release.push import git_sha1

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from space.contract import Contract

BASE_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def damaged(snapshot: Path) -> list[Path]:
    """Files of the cache whose content isn't what their blob is named by: a download is checked by its size alone."""
    found = []
    for path in sorted(path for path in snapshot.rglob("*") if path.is_symlink()):
        blob = path.resolve()
        checksum = file_sha256(blob) if len(blob.name) == 64 else git_sha1(blob)
        if len(blob.name) in (40, 64) and checksum != blob.name:
            found.append(blob)
    return found


def fetch(api: "HfApi", repo: str, commit: str, cache: Path | None, only: list[str] | None = None) -> Path:
    """A commit's files, each with the right checksum; a damaged one is dropped from the cache and fetched again."""

    def call() -> Path:
        folder = Path(api.snapshot_download(repo, revision=commit, cache_dir=cache, allow_patterns=only))
        for blob in damaged(folder):
            blob.unlink()
            raise Unfinished(f"a file of {repo} was damaged on the way")
        return folder

    return asked(f"downloading {repo}", call)


def inspect(repo: str, commit: str, cache: Path, timeout: float) -> dict[str, Any]:
    """Load the adapter from the Hub and let it answer; raises ValueError where it is not what was trained.

    cache: an empty folder.
    """
    from space.contract import load_contract

    api = connect(timeout)
    print("downloading the adapter", flush=True)
    folder = fetch(api, repo, commit, cache)
    from peft import PeftModel  # seconds; a Hub that fails is seen first

    from training.model.load import load_base, load_tokenizer, pick_device

    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
    adapter = read_json(folder / "adapter_config.json", "")
    contract = load_contract(folder / "contract.toml")
    tokenizer = load_tokenizer(folder)
    check_golden_ids(folder, tokenizer, contract)
    print(f"loading the base {adapter['base_model_name_or_path']}", flush=True)
    base = fetch(api, adapter["base_model_name_or_path"], adapter["revision"], None, BASE_FILES)
    device = pick_device()
    with plain_errors(f"loading {repo}"):
        model = PeftModel.from_pretrained(
            load_base(base, "fp32", device), repo, revision=commit, cache_dir=cache,
            torch_device=device, autocast_adapter_dtype=False,
        ).eval()  # fmt: skip
    recorded = read_json(folder / "run.json", "").get("golden_logits")
    at = {case["name"]: case["token_ids"] for case in recorded["cases"]} if recorded else None
    facts = judge(golden_logits(model, tokenizer, contract, at), recorded)
    print("answering the first golden question", flush=True)
    return facts | answer(model, tokenizer, contract) | {"files": files}


def check_golden_ids(folder: Path, tokenizer: "PreTrainedTokenizerBase", contract: "Contract") -> None:
    """Raises ValueError naming the golden conversation whose token ids come out otherwise than the bundle says."""
    from space.prompt import encode_prompt

    for case in json.loads((folder / "golden.json").read_text(encoding="utf-8")):
        if encode_prompt(tokenizer, case["messages"], contract) != case["token_ids"]:
            raise ValueError(f"the golden conversation {case['name']!r} comes out as other token ids than golden.json")


def answer(model: "PeftModel", tokenizer: "PreTrainedTokenizerBase", contract: "Contract") -> dict[str, Any]:
    """The greedy answer to the first golden conversation; raises ValueError if it is empty."""
    from space.prompt import encode_prompt
    from training.model.generate import generate_answers, greedy

    prompt = encode_prompt(tokenizer, list(contract.golden[0].messages), contract)
    decoding = greedy(model, tokenizer, contract.decoding.max_new_tokens)
    [[given]] = generate_answers(model, tokenizer, [prompt], decoding, 1)
    if not given.text:
        raise ValueError("the adapter answers the first golden question with nothing")
    return {"answer": given.text, "tokens": given.tokens, "ended": given.ended}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.release.verify", description=__doc__)
    parser.add_argument("repo", metavar="OWNER/NAME")
    parser.add_argument("commit", metavar="COMMIT")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for any answer of the Hub")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="verify-") as temporary:
            facts = inspect(options.repo, options.commit, Path(temporary), options.timeout)
        print(json.dumps(facts))
    except Unfinished as error:
        print(redacted(str(error)), file=sys.stderr)
        sys.exit(2)
    except (OSError, ValueError) as error:
        print(redacted(str(error)), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
