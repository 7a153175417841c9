"""From a conversation to token ids, and the disclaimer: one copy for training, scoring, verification and serving."""

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the Space runs this folder as plain modules, training imports it as a package
    from transformers import PreTrainedTokenizerBase

    from space.contract import Contract, Message

# Encoding user text flips a flag inside the shared Rust tokenizer, so two threads must not encode at once.
_encoding = threading.Lock()


def encode_prompt(tokenizer: "PreTrainedTokenizerBase", messages: "list[Message]", contract: "Contract") -> list[int]:
    """Token ids of a conversation, ending in the open assistant header."""
    return _encode(tokenizer, messages, contract, add_generation_prompt=True)


def encode_answered(tokenizer: "PreTrainedTokenizerBase", messages: "list[Message]", contract: "Contract") -> list[int]:
    """Token ids of a conversation that ends in an assistant turn, closed by `<|eot_id|>`."""
    return _encode(tokenizer, messages, contract, add_generation_prompt=False)


def _encode(tokenizer, messages, contract, add_generation_prompt: bool) -> list[int]:
    # sanitize_control_tokens: a typed "<|eot_id|>" is encoded as the characters it is written with
    with _encoding:
        return tokenizer.apply_chat_template(
            [{"role": "system", "content": contract.system_prompt}, *messages],
            date_string=contract.date_string,
            add_generation_prompt=add_generation_prompt,
            sanitize_control_tokens=True,
            return_dict=False,
        )


def without_disclaimer(answer: str, contract: "Contract") -> str:
    """The answer without any copy of the disclaimer sentence, whatever its case, spacing or final stop."""
    words = r"\s+".join(re.escape(word) for word in contract.disclaimer.rstrip(".").split())
    return re.sub(rf"\s*{words}\.?[ \t]*", " ", answer, flags=re.IGNORECASE).strip()


def with_disclaimer(answer: str, contract: "Contract") -> str:
    """The answer with the disclaimer exactly once, as its last paragraph; an empty answer is the disclaimer alone."""
    return f"{without_disclaimer(answer, contract)}\n\n{contract.disclaimer}".strip()
