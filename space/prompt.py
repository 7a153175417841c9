"""From a conversation to token ids, and the disclaimer: one copy for training, scoring, verification and serving."""

import re
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

from jinja2 import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Encoding user text flips a flag inside the shared Rust tokenizer, so two threads must not encode at once.
_encoding = threading.Lock()
PROBE = "zebra"  # stands for a message's text where only its surroundings matter

Message = dict[str, str]


class Contract(Protocol):
    """What is read of a contract here: the Space imports it as `contract`, training as `space.contract`."""

    @property
    def system_prompt(self) -> str: ...
    @property
    def date_string(self) -> str: ...
    @property
    def disclaimer(self) -> str: ...


def encode_answered(tokenizer: "PreTrainedTokenizerBase", messages: "list[Message]", contract: "Contract") -> list[int]:
    """Token ids of a conversation that ends in an assistant turn and the token that closes it."""
    ids = encode_prompt(tokenizer, messages, contract, add_generation_prompt=False)
    return ids[: len(ids) - ids[::-1].index(end_of_turn(tokenizer))]  # some templates add a line break


def encode_prompt(
    tokenizer: "PreTrainedTokenizerBase",
    messages: "list[Message]",
    contract: "Contract",
    add_generation_prompt: bool = True,
) -> list[int]:
    """Token ids of a conversation, ending in the open assistant header."""
    # sanitize_control_tokens: a typed "<|eot_id|>" is encoded as the characters it is written with
    with _encoding:
        ids = tokenizer.apply_chat_template(
            with_system_prompt(tokenizer, messages, contract.system_prompt),
            date_string=contract.date_string,
            add_generation_prompt=add_generation_prompt,
            sanitize_control_tokens=True,
            sanitized=True,  # so a release's own template leaves them as they are
            return_dict=False,
        )
    return cast("list[int]", ids)


def with_system_prompt(
    tokenizer: "PreTrainedTokenizerBase", messages: "list[Message]", system_prompt: str
) -> "list[Message]":
    """The messages after a system message, or, where the template has no such role, after it in the first question."""
    if has_system_role(tokenizer, tokenizer.chat_template):
        return [{"role": "system", "content": system_prompt}, *messages]
    first = messages[0]
    return [first | {"content": f"{system_prompt}\n\n{first['content']}"}, *messages[1:]]


@lru_cache(maxsize=8)
def has_system_role(tokenizer: "PreTrainedTokenizerBase", template: str) -> bool:
    """Whether the chat template renders a system message; some leave it out, some refuse it."""
    messages = [{"role": "system", "content": PROBE}, {"role": "user", "content": "?"}]
    try:
        return PROBE in tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError:
        return False


@lru_cache(maxsize=8)
def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token with which the chat template closes an assistant turn.

    Raises ValueError if it closes one with no control token: a model trained on it would never stop.
    """
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": PROBE}]
    closing = str(tokenizer.apply_chat_template(messages, tokenize=False)).rpartition(PROBE)[2]
    control = {*tokenizer.get_added_vocab().values(), *tokenizer.all_special_ids}
    found = [token for token in tokenizer.encode(closing, add_special_tokens=False) if token in control]
    if not found:
        raise ValueError(
            f"its chat template closes an answer with {closing!r}, which holds no control token: a model trained on it "
            "would not stop; give a base whose template does"
        )
    return found[0]


def without_disclaimer(answer: str, contract: "Contract") -> str:
    """The answer without any copy of the disclaimer sentence, whatever its case, spacing or final stop."""
    words = r"\s+".join(re.escape(word) for word in contract.disclaimer.rstrip(".").split())
    return re.sub(rf"\s*{words}\.?[ \t]*", " ", answer, flags=re.IGNORECASE).strip()


def with_disclaimer(answer: str, contract: "Contract") -> str:
    """The answer with the disclaimer exactly once, as its last paragraph; an empty answer is the disclaimer alone."""
    return f"{without_disclaimer(answer, contract)}\n\n{contract.disclaimer}".strip()
