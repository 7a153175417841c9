"""What makes training and scoring fast changes nothing of what they compute, and holds no more than it needs."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from conftest import settings, step_here
from small_models import FAMILIES, make_model
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicLayer

from training.configs import CONFIGS, DEMO, TrainConfig, override
from training.extras.speed import encode, in_fresh_process, new_model, ours, training_costs
from training.model import generate, trainer
from training.model.generate import ROOM, RoomyLayer, generate_answers, greedy, new_tokens
from training.model.load import load_base, load_tokenizer
from training.model.trainer import GroupedByLength, SmallMaskDropout, tiled_loss
from training.outputs import read_jsonl
from training.run_record import peak_gib
from training.train import lora_model, sft_config


@pytest.fixture(scope="module")
def config(small_out) -> TrainConfig:
    return override(replace(DEMO, out=str(small_out)), ["lora_rank=4", f"base_model={small_out / 'base'}"])


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels [3, 12], the second and third row padded on the right, prompts without labels."""
    ids = torch.randint(6, 500, (3, 12), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :4] = -100
    for row, length in ((1, 9), (2, 6)):
        ids[row, length:], labels[row, length:] = 2, -100
    return ids, labels


def test_the_head_in_tiles_has_the_loss_and_gradient_of_cross_entropy(monkeypatch):
    monkeypatch.setattr(trainer, "TILE", {"cpu": 3 * 50})  # three tokens a tile, the last one shorter
    hidden, head, labels = torch.randn(10, 8), torch.randn(50, 8), torch.randint(50, (10,))
    once, again = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    expected = functional.cross_entropy(once @ head.T, labels, reduction="sum") / 7
    found = trainer.HeadLoss.apply(again, head, labels) / 7
    expected.backward()
    found.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(again.grad, once.grad)
    assert not trainer.HeadLoss.apply(hidden, head, labels).requires_grad


def test_without_a_mask_and_without_prompt_logits_loss_and_gradients_are_those_of_the_plain_model(config, batch):
    ids, labels = batch
    mask = (ids != 2).long()
    model = lora_model(Path(config.base_model), replace(config, lora_dropout=0.0), "fp32", "cpu")
    with torch.no_grad():  # a fresh adapter has no gradient in its first half
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02, generator=torch.Generator().manual_seed(1))

    def with_gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        model.zero_grad()
        loss.backward()
        return [loss.detach(), *(weight.grad.clone() for weight in model.parameters() if weight.requires_grad)]

    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    plain = with_gradients(functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"))
    assert max(float(gradient.abs().max()) for gradient in plain[1:]) > 1e-3
    head = model.get_output_embeddings().weight
    for found, expected in zip(with_gradients(tiled_loss(model, head, ids, labels)), plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_examples_depends_on_seed_and_epoch_alone():
    lengths = torch.randint(10, 900, (300,), generator=torch.Generator().manual_seed(0)).tolist()
    epoch = 0
    sampler = GroupedByLength(16, lengths, lambda: 42 + epoch)
    first = list(sampler)
    torch.rand(5)  # whatever else was drawn
    assert list(GroupedByLength(16, lengths, lambda: 42)) == first, "after a resume, and in every process"
    epoch = 1
    second = list(sampler)
    assert second != first
    assert sorted(first) == sorted(second) == list(range(300))


def test_rows_that_leave_a_batch_get_the_answers_that_generate_gives(small_out, small_run, monkeypatch):

    monkeypatch.setattr(generate, "ROOM", 3)  # so that the cache grows and shrinks many times

    torch.manual_seed(0)
    tokenizer = load_tokenizer(small_out / "base")
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=512,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            initializer_range=0.5,
        )
    ).eval()  # such large random weights never say one thing twice
    prompts = [torch.randint(6, 512, (length,)).tolist() for length in (7, 9, 9, 12, 12, 15)]
    decoding = greedy(model, tokenizer, 40)
    decoding.eos_token_id = list(range(0, 512, 12))  # so that answers end, here after some ten tokens
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=decoding)
        expected.append(output[0, len(prompt) :].tolist())
    assert len({len(answer) for answer in expected}) > 3
    assert new_tokens(model, tokenizer, prompts, decoding) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_with_room_gives_every_architecture_the_answers_of_generate(family, tmp_path):
    folder = make_model(tmp_path / "base", family)
    model, tokenizer = load_base(folder, "fp32", "cpu").eval(), load_tokenizer(folder)
    if hasattr(model.config, "sliding_window"):
        model.config.sliding_window = 8
    prompts = [torch.randint(6, 512, (length,), generator=torch.Generator().manual_seed(length)).tolist()
               for length in (20, 20, 20)]  # fmt: skip
    decoding = greedy(model, tokenizer, 90)
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=decoding)
        expected.append(output[0, len(prompt) :].tolist())
    assert new_tokens(model, tokenizer, prompts, decoding) == expected


def test_new_keys_and_values_are_written_in_place():
    layer, plain = RoomyLayer(), DynamicLayer()
    places = set()
    for count in (7, *[1] * (2 * ROOM)):
        keys, values = torch.randn(4, 2, count, 8), torch.randn(4, 2, count, 6)
        found, expected = layer.update(keys, values), plain.update(keys, values)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        places.add(layer.keys.data_ptr())
    assert len(places) == 2, "allocated with the first tokens, and where the room is used up"
    for each in (layer, plain):
        each.batch_select_indices(torch.tensor([3, 1]))
        each.update(keys[:2], values[:2])
    assert torch.equal(layer.keys, plain.keys) and torch.equal(layer.values, plain.values)
    assert layer.get_seq_length() == plain.get_seq_length() == 8 + 2 * ROOM


def test_dropout_with_a_small_mask_is_torchs_own():
    kept = []
    results = []
    for kind in (torch.nn.Dropout, SmallMaskDropout):
        torch.manual_seed(0)
        values = torch.linspace(1, 2, 500).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
            dropped = kind(0.3)(values)
        dropped.sum().backward()
        results.append((dropped, values.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert 0 < (results[0][0] == 0).sum() < 500
    assert kept == [4 * 500, 500]
    values = torch.ones(3)
    assert SmallMaskDropout(0.3).eval()(values) is values


def test_our_trainer_keeps_small_masks(config, tmp_path):
    base = Path(config.base_model)
    tokenizer = load_tokenizer(base)
    mine = ours(base, tokenizer, encode(tokenizer, records_of(config, 16)), str(tmp_path))
    kinds = [type(part) for part in mine.model.modules() if isinstance(part, torch.nn.Dropout)]
    assert kinds and set(kinds) == {SmallMaskDropout}


def records_of(config: TrainConfig, rows: int) -> list[dict[str, str]]:
    return read_jsonl(config.data_dir / "train.jsonl", "")[:rows]


def answering_peak(base: Path, prompts: list[list[int]]) -> float:
    """For `in_fresh_process`: MiB that answering adds, eight questions at once."""
    model, tokenizer = new_model(base, "fp32").eval(), load_tokenizer(base)
    generate_answers(model, tokenizer, prompts[:8], 12, 8)
    before = peak_gib()
    generate_answers(model, tokenizer, prompts, 12, 8)
    return 1024 * (peak_gib() - before)


@pytest.mark.slow
def test_more_rows_or_questions_need_no_more_memory_at_once(config):
    base = Path(config.base_model)
    few, many = (in_fresh_process(training_costs, "ours", base, records_of(config, rows))[1] for rows in (96, 288))
    assert many < few + 80, f"{few} MiB for 96 rows, {many} for 288"
    prompts = [[6 + place % 500] * 40 for place in range(80)]
    few, many = (in_fresh_process(answering_peak, base, prompts[:questions]) for questions in (16, 80))
    assert many < few + 40, f"{few} MiB for 16 questions, {many} for 80"


def test_tracking_is_off_by_default_and_never_public(small_out, small_run):
    assert {config.report_to for config in CONFIGS.values()} == {"none"}
    arguments = sft_config(DEMO, "fp32", 100)
    assert (arguments.report_to, arguments.hub_private_repo) == ([], True)
    assert (arguments.trackio_space_id, arguments.trackio_static_space_id) == (None, False)
    if find_spec("trackio"):
        return
    result = step_here("train", "demo", *settings(small_out, name="tracked", report_to="trackio"))
    assert result.returncode == 1
    assert result.stderr == "error: report_to=trackio: it is not installed, `pip install trackio` or leave it out\n"
