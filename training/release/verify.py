"""Load a commit from the Hub, for a process that knows only its id, and compare it with what was trained."""

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from peft import PeftModel

from space.contract import load_contract
from space.prompt import encode_prompt
from training.model.generate import generate_answers
from training.model.golden import compare_logits, golden_ids, golden_logits
from training.model.load import load_base, load_tokenizer, pick_device
from training.network import plain_errors
from training.outputs import read_json
from training.release import hub, signing

BASE_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def read_back(repo: str, commit: str, timeout: float) -> dict[str, Any]:
    """Download a commit into an empty cache, load it and let it answer.

    timeout: seconds for any answer of the Hub. Raises Unfinished if the Hub failed, ValueError if the adapter is not
    what was trained.
    """
    api = hub.connect(timeout)
    with tempfile.TemporaryDirectory(prefix="verify-") as temporary:
        cache = Path(temporary)
        print("  downloading the adapter", flush=True)
        folder = hub.download(api, hub.Remote(repo), commit, cache)
        signed = (folder / signing.SIGNATURE).exists() and find_spec("model_signing")
        signed_by = signing.verify(folder) if signed else None
        adapter, contract = read_json(folder / "adapter_config.json", ""), load_contract(folder / "contract.toml")
        tokenizer = load_tokenizer(folder)
        if golden_ids(tokenizer, contract) != json.loads((folder / "golden.json").read_text(encoding="utf-8")):
            raise ValueError("a golden conversation has other token ids than in golden.json")
        print(f"  loading the base {adapter['base_model_name_or_path']}", flush=True)
        remote = hub.Remote(adapter["base_model_name_or_path"])
        base, device = hub.download(api, remote, adapter["revision"], None, BASE_FILES), pick_device()
        with plain_errors(f"loading {repo}"):
            model = PeftModel.from_pretrained(
                load_base(base, "fp32", device), repo, revision=commit, cache_dir=cache,
                torch_device=device, autocast_adapter_dtype=False,
            ).eval()  # fmt: skip
        recorded = read_json(folder / "run.json", "")["golden_logits"]
    at = {case["name"]: case["token_ids"] for case in recorded["cases"]}
    facts = compare_logits(golden_logits(model, tokenizer, contract, at), recorded)
    print("  answering the first golden question", flush=True)
    prompt = encode_prompt(tokenizer, list(contract.golden[0].messages), contract)
    [given] = generate_answers(model, tokenizer, [prompt], contract.decoding.max_new_tokens, 1)
    if not given.text:
        raise ValueError("the adapter's answer to the first golden question is empty")
    return facts | {"answer": given.text, "tokens": given.tokens, "ended": given.ended, "signed_by": signed_by}
