"""Small language models with random weights, one for each family of chat templates, made in seconds.

A folder of one is what `save_pretrained` of a real base writes: weights, tokenizer with chat template, card.
"""

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from training.configs import DEMO

ROOT = Path(__file__).parents[1]
REAL_TOKENIZER = ROOT.parent / "shared" / "llama3-tokenizer"
SPREAD = 0.3  # of the weights: with the usual 0.02 a random model says the same to everything
# The pattern that Llama 3's tokenizer splits words with.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = """{{ bos_token }}{% for message in messages -%}
<|start_header_id|>{{ message.role }}<|end_header_id|>

{% if loop.first -%}
Cutting Knowledge Date: December 2023
Today Date: {{ date_string }}

{% endif -%}
{{ message.content | trim }}<|eot_id|>
{%- endfor %}
{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""
CHATML = """{% for message in messages %}{% if loop.first and message.role != 'system' -%}
{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}
{%- endif %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
INST = """{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' -%}
{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}{% for message in messages -%}
{% if message.role == 'user' -%}
{{ bos_token + '[INST] ' + (system if loop.first else '') + message.content | trim + ' [/INST]' -}}
{% else %}{{ ' ' + message.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"""
PLAIN_ROLES = """{{ bos_token }}{% for message in messages -%}
{% if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' -}}
{{ message.content | trim + '<end_of_turn>\n' }}{% endfor -%}
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""


@dataclass(frozen=True)
class Family:
    """A chat template with its control tokens, and an architecture that goes with it."""

    template: str
    control: tuple[str, ...]
    tokens: dict[str, str]  # as the tokenizer names them: bos_token, eos_token, pad_token
    end_of_turn: str
    architecture: Callable[..., PreTrainedModel]
    licence: str = "apache-2.0"


def like_llama(config: type, model: type) -> Callable[..., PreTrainedModel]:
    """An architecture whose settings have Llama's names: grouped queries and tied embeddings."""

    def build(vocab: int, hidden: int, layers: int, **ids: int | list[int] | None) -> PreTrainedModel:
        return model(
            config(
                vocab_size=vocab,
                hidden_size=hidden,
                intermediate_size=2 * hidden,
                num_hidden_layers=layers,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=4096,
                tie_word_embeddings=True,
                initializer_range=SPREAD,
                **ids,
            )
        )

    return build


def gpt_neox(vocab: int, hidden: int, layers: int, **ids: int | list[int] | None) -> PreTrainedModel:
    """An architecture with other layers than Llama's: one for query, key and value, a head of its own."""
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocab,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=4096,
            initializer_range=SPREAD,
            **ids,
        )
    )


LLAMA3_CONTROL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
FAMILIES = {
    "llama3": Family(
        LLAMA3,
        LLAMA3_CONTROL,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>"},
        "<|eot_id|>",
        like_llama(LlamaConfig, LlamaForCausalLM),
        "llama3.2",
    ),
    "chatml": Family(  # SmolLM2's: padding is named as the end of a turn
        CHATML,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"},
        "<|im_end|>",
        like_llama(Qwen2Config, Qwen2ForCausalLM),
    ),
    "inst": Family(  # Llama 2's and Mistral's: no padding token, brackets that are no control tokens
        INST,
        ("<unk>", "<s>", "</s>"),
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        "</s>",
        like_llama(MistralConfig, MistralForCausalLM),
    ),
    "plain_roles": Family(  # Gemma's: no system role, an end of text that is not the end of a turn
        PLAIN_ROLES,
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        {"bos_token": "<bos>", "eos_token": "<eos>"},
        "<end_of_turn>",
        gpt_neox,
    ),
}


def make_model(
    folder: Path,
    family: str,
    hidden: int = 32,
    layers: int = 2,
    vocab: int = 512,
    seed: int = 0,
    licence: str = "",
) -> Path:
    """Write a model of a family, its tokenizer and its card; the same arguments write the same files.

    family: a name in FAMILIES, or "llama3-real" for a Llama with the real Llama 3 tokenizer of 128,256 tokens.
    licence: of the card, where it is another one than the family's. Skips the test where that tokenizer isn't at hand.
    """
    tokenizer = real_tokenizer() if family.endswith("-real") else make_tokenizer(family, vocab)
    random_model(family, tokenizer, hidden, layers, seed).save_pretrained(folder)
    if family.endswith("-real"):
        shutil.copytree(REAL_TOKENIZER, folder, dirs_exist_ok=True)
    else:
        tokenizer.save_pretrained(folder)
    card = f"---\nlicense: {licence or of(family).licence}\n---\n\nRandom weights, for tests.\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def of(family: str) -> Family:
    return FAMILIES[family.removesuffix("-real")]


def random_model(
    family: str, tokenizer: PreTrainedTokenizerBase, hidden: int = 32, layers: int = 2, seed: int = 0
) -> PreTrainedModel:
    """A model of a family's architecture with the vocabulary of a tokenizer."""
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return of(family).architecture(len(tokenizer), hidden, layers, **ids)


def real_tokenizer() -> PreTrainedTokenizerBase:
    if not REAL_TOKENIZER.is_dir():
        pytest.skip(f"{REAL_TOKENIZER} is not here")
    return AutoTokenizer.from_pretrained(REAL_TOKENIZER)


def make_tokenizer(family: str, vocab: int = 512, **changes: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a family as its base names the tokens; changes: other arguments, such as a `chat_template`."""
    about = FAMILIES[family]
    arguments = {"chat_template": about.template, "padding_side": "left"} | about.tokens | changes
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(byte_pairs(about.control, vocab)),
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **arguments,
    )


@lru_cache
def byte_pairs(control: tuple[str, ...], vocab: int) -> str:
    """A byte-level BPE of `vocab` tokens as JSON, control tokens first, learned from the embedded sample."""
    with (ROOT / DEMO.dataset).open(encoding="utf-8", newline="") as file:
        texts = [f"{row['Question']}\n{row['Answer']}" for row in csv.DictReader(file)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(control),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return bpe.to_str()
