"""Start the Space for tests: as people do with an adapter, or with a model that repeats its question.

`python tests/space_app.py` is the latter: the real page, API, queue and rules over a stand-in that answers at a known
pace (ECHO_DELAY seconds a token) with the question it was asked, so that a crossed answer is seen. With SMALL_LLAMA=1
it is a real model instead, of random weights.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hub.spaces import answers, end, free_port

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "space"
sys.path.insert(0, str(SPACE))  # the folder's modules import each other by their plain names

SENTENCES = [f"This is sentence number {word}." for word in ("one", "two", "three", "four", "five", "six", "seven")]
BREAK = "break the model"  # in a question: the model fails with an error that quotes it
SLOWLY = "say it slowly"  # in a question: after its beginning the answer takes 30 times as long
MUTE = "mute in a chat"  # in a question: the model answers it alone, and says nothing where a history stands before it
HEADER, HEADER_END, TURN_END = "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"


@contextmanager
def running_app(folder: Path, *words: object, file: Path = SPACE / "app.py", **environment: str) -> Iterator[str]:
    """The address of an app that was started in an empty folder; its output goes to app.log there."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    own = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hub"),
        "GRADIO_TEMP_DIR": str(folder / "temporary"),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    kept = {key: value for key, value in os.environ.items() if key not in ("ADAPTER", "ADAPTER_REVISION", "HF_TOKEN")}
    with (folder / "app.log").open("w", encoding="utf-8") as log:
        app = subprocess.Popen(
            [sys.executable, file, *map(str, words)],
            cwd=folder, env=kept | own | environment, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    (folder / "app.pid").write_text(str(app.pid), encoding="utf-8")
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: app.poll() is not None or answers(address), 180, "the app starts")
        assert app.poll() is None, (folder / "app.log").read_text(encoding="utf-8")
        yield address
    finally:
        end(app)
        with suppress(ProcessLookupError):  # workers that ZeroGPU forked outlive an app that is terminated
            os.killpg(app.pid, signal.SIGKILL)


def wait_for(ready, seconds: float, what: str) -> float:
    """Wait until it is so; returns the seconds that it took."""
    started = time.monotonic()
    while not ready():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - started


def small_tokenizer():
    from small_models import make_tokenizer

    return make_tokenizer("llama3")


def small_llama():
    """An Assistant over a real Llama of random weights, greedy: what was read decides an answer, and nothing else."""
    from dataclasses import replace

    from assistant import Assistant
    from contract import load_contract
    from small_models import random_model

    tokenizer = small_tokenizer()
    model = random_model("llama3", tokenizer).eval()
    contract = load_contract(ROOT / "training" / "contract.toml")
    greedy = replace(contract, decoding=replace(contract.decoding, top_p=1e-9))
    ends = frozenset([tokenizer.convert_tokens_to_ids(TURN_END)])
    return Assistant({"tuned": model, "base": model}, tokenizer, greedy, ends)


def echo_assistant(delay: float):
    """An Assistant whose models answer with the last question, the base with other words than the tuned one."""
    import torch
    from assistant import Assistant
    from contract import load_contract
    from transformers import LlamaConfig

    tokenizer = small_tokenizer()
    ids = tokenizer.convert_tokens_to_ids

    def last_question(read: list[int]) -> tuple[str, int]:
        """The question that a prompt ends in, and how many there are."""
        ends = [i for i, token in enumerate(read) if token == ids(TURN_END)]
        start = max(i for i, token in enumerate(read[: ends[-1]]) if token == ids(HEADER_END))
        return tokenizer.decode(read[start + 1 : ends[-1]]).strip(), len(ends) // 2

    class Echo:
        """Looks like a model to `write`; what it has read hangs on the cache, as in a real one."""

        config = LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=4096)
        device = torch.device("cpu")

        def __init__(self, opening: str):
            self.opening = opening

        def num_parameters(self) -> int:
            return 1_000_000_000

        def __call__(self, piece, past_key_values, **_):
            cache = past_key_values
            cache.read = [*getattr(cache, "read", []), *piece[0].tolist()]
            if hasattr(cache, "script"):
                time.sleep(30 * delay if cache.slowly and cache.said > 40 else delay)
                cache.said += 1
            elif tokenizer.decode(cache.read[-40:]).endswith(f"assistant{HEADER_END}\n\n"):  # the prompt is whole
                question, turns = last_question(cache.read)
                cache.script, cache.said = self.script(question, turns), 0
                cache.slowly = SLOWLY in question
            script, said = getattr(cache, "script", [0]), getattr(cache, "said", 0)
            logits = torch.full((1, 1, len(tokenizer)), -1e4)
            logits[0, 0, script[min(said, len(script) - 1)]] = 1e4
            return type("Output", (), {"logits": logits})

        def script(self, question: str, turns: int) -> list[int]:
            if BREAK in question:
                raise ValueError(f"can't say {question}")
            if MUTE in question and turns > 1:
                return [ids(TURN_END)]
            text = " ".join([f"{self.opening} {question}", f"That was turn {turns}.", *SENTENCES])
            plain = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            return [*plain, ids(TURN_END)]

    models = {"tuned": Echo("You asked me this:"), "base": Echo("The base was asked this:")}
    contract = load_contract(ROOT / "training" / "contract.toml")
    return Assistant(models, tokenizer, contract, frozenset([ids(TURN_END)]))


def main() -> None:
    # Where there is no CUDA, `spaces` leaves torch alone only if it finds none; all else of ZeroGPU is as it is there:
    # the scheduler is asked, and each answer is written by a forked worker.
    sys.modules["torch"] = None
    import spaces  # noqa: F401

    del sys.modules["torch"]
    import serving
    from page import LAUNCH, build

    delay = float(os.environ.get("ECHO_DELAY", "0"))
    serving.SERVED.assistant = small_llama() if "SMALL_LLAMA" in os.environ else echo_assistant(delay)
    serving.SERVED.loaded.set()
    build().launch(**LAUNCH)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
