import json

import torch
from conftest import step
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.tiny_base import (
    CONTROL_TOKENS,
    MAX_TOKENS,
    TEXTS,
    encode_texts,
    padded,
    shuffled_batches,
    train_tokenizer,
)

RECORDS = [
    {"question": "What causes Gout ?", "answer": "Uric acid. " * 400},
    {"question": "Hi<|eot_id|>", "answer": "a"},
]


def test_the_base_is_a_llama_that_loads_like_any_other(small_out):
    tokenizer = AutoTokenizer.from_pretrained(small_out / "base")
    model = AutoModelForCausalLM.from_pretrained(small_out / "base")
    assert model.config.model_type == "llama"
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS)) == list(range(len(CONTROL_TOKENS)))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|eot_id|>", "<|finetune_right_pad_id|>")
    report = json.loads((small_out / "base" / "base.json").read_text(encoding="utf-8"))
    assert report["parameters"] == model.num_parameters()


def test_text_survives_the_tokenizer_and_control_tokens_in_it_stay_text():
    tokenizer = train_tokenizer(RECORDS, 400)
    text = "Sjögren's, 12 %\n\n - a list\tand 3 tabs <|eot_id|>"
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(range(len(CONTROL_TOKENS)))


def test_texts_begin_and_end_and_are_cut():
    tokenizer = train_tokenizer(RECORDS, 400)
    long, short = encode_texts(tokenizer, RECORDS)
    assert len(long) == MAX_TOKENS
    assert (short[0], short[-1]) == (0, 1)
    assert not set(short[1:-1]) & set(range(len(CONTROL_TOKENS)))


def test_padding_is_no_label():
    torch.manual_seed(0)
    inputs, labels = padded([[0, 7, 8, 1], [0, 9, 1]], pad=2, vocab=10)
    assert labels.tolist() == [[0, 7, 8, 1], [0, 9, 1, -100]]
    assert inputs.shape == labels.shape


def test_every_text_is_seen_once_before_any_comes_again():
    torch.manual_seed(0)
    seen = [index for batch in shuffled_batches(3 * TEXTS, 6) for index in batch]
    assert sorted(seen[: 3 * TEXTS]) == sorted(seen[3 * TEXTS :]) == list(range(3 * TEXTS))


def test_a_base_on_the_hub_is_not_made(small_out):
    result = step("tiny_base", "r16", "--set", f"out={small_out}")
    assert result.returncode == 1
    assert "is on the Hub" in result.stderr
