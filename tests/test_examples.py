import numpy as np
import pytest
from small_models import make_tokenizer

from training.data.examples import (
    IGNORED,
    encode_example,
    example_lengths,
    length_report,
    longest_fitting,
    reference_lengths,
)
from training.outputs import read_jsonl

LONG = " ".join(f"Sentence number {n} says a little more about gout." for n in range(60))


@pytest.fixture(params=["small", "real"])
def tokenizer(request):
    if request.param == "real":
        return request.getfixturevalue("real_tokenizer")
    return make_tokenizer("llama3")


def example(tokenizer, contract, answer: str, max_tokens: int = 1024):
    return encode_example(tokenizer, {"question": "What causes Gout ?", "answer": answer}, contract, max_tokens)


def test_the_loss_is_on_answer_disclaimer_and_end_of_turn_alone(tokenizer, contract):
    encoded = example(tokenizer, contract, "Uric acid.")
    ids, labels = encoded["input_ids"], encoded["labels"]
    learned = [token for token in labels if token != IGNORED]
    assert tokenizer.decode(learned) == f"Uric acid.\n\n{contract.disclaimer}<|eot_id|>"
    assert labels[: -len(learned)] == [IGNORED] * (len(ids) - len(learned))
    assert ids[-len(learned) :] == learned
    assert not encoded["cut"]


def test_a_cut_answer_ends_with_a_sentence_the_disclaimer_and_end_of_turn(tokenizer, contract):
    whole = example(tokenizer, contract, LONG)
    limit = len(whole["input_ids"]) - 100
    encoded = example(tokenizer, contract, LONG, limit)
    answer = tokenizer.decode([token for token in encoded["labels"] if token != IGNORED])
    kept = answer.removesuffix(f"\n\n{contract.disclaimer}<|eot_id|>")
    assert encoded["cut"]
    assert len(encoded["input_ids"]) <= limit
    assert LONG.startswith(kept)
    assert kept.endswith("about gout.")
    assert limit - len(encoded["input_ids"]) < 40, "a sentence more would have fitted"


def test_one_endless_sentence_is_cut_at_a_word(tokenizer, contract):
    endless = "gout " * 500
    encoded = example(tokenizer, contract, endless, 400)
    answer = tokenizer.decode([token for token in encoded["labels"] if token != IGNORED])
    assert answer.startswith("gout gout")
    assert answer.endswith(f"gout\n\n{contract.disclaimer}<|eot_id|>")
    assert len(encoded["input_ids"]) <= 400


def test_a_question_that_leaves_no_room_gives_no_example(tokenizer, contract):
    record = {"question": "gout " * 1000, "answer": "Uric acid."}
    assert encode_example(tokenizer, record, contract, 300) is None


def test_the_longest_fitting_beginning_is_found_by_hand():
    assert longest_fitting("One. Two. Three.", len, 11) == "One. Two."
    assert longest_fitting("One two three", len, 8) == "One two"
    assert longest_fitting("Onetwothree", len, 8) == ""


def test_batched_lengths_are_those_of_the_examples(tokenizer, contract):
    records = [
        {"question": "What causes Gout ?", "answer": "Uric acid."},
        {"question": "Is Gout<|eot_id|> inherited ?", "answer": LONG},
        {"question": "What is (are) Sjögren's ?", "answer": "- a list\n - of two\n\nand more"},
    ]
    exact = [len(encode_example(tokenizer, record, contract, 10**6)["input_ids"]) for record in records]
    assert example_lengths(tokenizer, records, contract).tolist() == exact
    assert (reference_lengths(tokenizer, [r["answer"] for r in records], contract) < exact).all()


def test_the_length_report_is_what_it_is_by_hand():
    report = length_report(np.array([1, 2, 3, 4, 100]), 50)
    assert report == {"p50": 3, "p90": 61, "p99": 96, "max": 100, "sum": 110, "share over 50": 0.2}


def test_every_prepared_example_of_the_sample_ends_right(small_out, contract):
    from training.model.load import load_tokenizer

    tokenizer = load_tokenizer(small_out / "base")
    begin, end = tokenizer.convert_tokens_to_ids(["<|begin_of_text|>", "<|eot_id|>"])
    for record in read_jsonl(small_out / "data" / "train.jsonl", "prepare")[::20]:
        encoded = encode_example(tokenizer, record, contract, 300)
        ids = encoded["input_ids"]
        assert ids.count(begin) == 1
        assert ids.count(end) == 3
        assert tokenizer.decode(ids).endswith(f"{contract.disclaimer}<|eot_id|>")
        assert len(ids) <= 300
