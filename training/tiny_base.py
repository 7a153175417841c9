"""Where no real base can be had: make a small tokenizer and a tiny Llama from the prepared training split.

Reads <out>/data/train.jsonl; writes the folder that the configuration names as `base_model`. The tokenizer has the
Llama 3 control tokens and chat format, and the model has Llama's architecture, so every later step runs unchanged.
It learns plain text, a question and its answer; chat format and disclaimer are left to the adapter.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from training.command import parse, parser, run
from training.configs import TrainConfig, is_local
from training.outputs import (
    file_sha256,
    fingerprint,
    read_json,
    read_jsonl,
    up_to_date,
    whole_folder,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

FORMAT = 1
TEXTS = 8  # a step; about 900 tokens of the embedded sample. Larger steps are fewer, and learn less in a minute
MAX_TOKENS = 512  # of one text
SWAPPED = 0.1  # share of the input tokens that another one stands in for
CONTROL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
# The pattern that Llama 3's tokenizer splits words with.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Llama 3.2's chat format, for conversations that begin with a system message.
CHAT_TEMPLATE = """{{ bos_token }}{% for message in messages -%}
<|start_header_id|>{{ message.role }}<|end_header_id|>

{% if loop.first -%}
Cutting Knowledge Date: December 2023
Today Date: {{ date_string }}

{% endif -%}
{{ message.content | trim }}<|eot_id|>
{%- endfor %}
{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""


def main() -> None:
    config, options = parse(parser("tiny_base", __doc__))
    make_base(config, options.force)


def make_base(config: TrainConfig, force: bool = False) -> None:
    """Write the tiny base; raises ValueError if the configuration names a real one, OSError if data is missing."""
    if not is_local(config.base_model):
        raise ValueError(f"base_model={config.base_model} is on the Hub: `training.tiny_base` only makes local folders")
    folder = Path(config.base_model)
    command = f"python -m training.prepare {config.name}"
    data = read_json(config.data_dir / "data.json", command)
    shape = {key: value for key, value in config.public().items() if key.startswith("tiny_")}
    expected = fingerprint(FORMAT, data["sha256"]["train"], shape, config.seed)
    if not force and up_to_date(folder / "base.json", expected):
        print(f"tiny_base: {folder} is up to date")
        return
    records = read_jsonl(config.data_dir / "train.jsonl", command)
    started = time.monotonic()
    tokenizer = train_tokenizer(records, config.tiny_vocab)
    model, losses = train_model(tokenizer, records, config)
    report = {
        "fingerprint": expected,
        "parameters": model.num_parameters(),
        "minutes": round((time.monotonic() - started) / 60, 2),
        "losses": losses,
        **shape,
    }
    with whole_folder(folder) as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        report["sha256"] = file_sha256(new / "model.safetensors")
        write_json(new / "base.json", report)
    print(f"  {report['parameters']:,} parameters in {report['minutes']} minutes, written to {folder}")


def plain_text(record: dict[str, str]) -> str:
    return f"{record['question']}\n{record['answer']}"


def train_tokenizer(records: list[dict[str, str]], vocab: int) -> "PreTrainedTokenizerFast":
    """A byte-level BPE of `vocab` tokens, the control tokens among them, learned from the records' text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

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
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((plain_text(record) for record in records), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def tiny_llama(tokenizer: "PreTrainedTokenizerFast", config: TrainConfig) -> "LlamaForCausalLM":
    """A Llama with random weights: grouped queries, tied embeddings and RoPE, as the 1B has them."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    heads = max(config.tiny_hidden // 48, 2) // 2 * 2
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("begin_of_text", "end_of_text", "eot_id")}
    ends = [ids["end_of_text"], ids["eot_id"]]
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.tiny_hidden,
            intermediate_size=4 * config.tiny_hidden,
            num_hidden_layers=config.tiny_layers,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            bos_token_id=ids["begin_of_text"],
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.generation_config = GenerationConfig(
        bos_token_id=ids["begin_of_text"], eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )
    return model


def encode_texts(tokenizer: "PreTrainedTokenizerFast", records: list[dict[str, str]]) -> list[list[int]]:
    """Token ids of each record's plain text, between begin and end of text, cut at `MAX_TOKENS`."""
    texts = tokenizer([plain_text(record) for record in records], add_special_tokens=False, split_special_tokens=True)
    begin, end = tokenizer.convert_tokens_to_ids(["<|begin_of_text|>", "<|end_of_text|>"])
    return [[begin, *ids, end][:MAX_TOKENS] for ids in texts["input_ids"]]


def padded(texts: list[list[int]], pad: int, vocab: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Input ids and labels [texts, tokens]; what fills up a row is no label. Some inputs are swapped for any others.

    The swaps keep so few texts from being learned by heart before their language is, and a control token that it
    will meet in a chat from being the first one of its life.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = pad_sequence([torch.tensor(text) for text in texts], batch_first=True, padding_value=pad)
    strangers = torch.randint(vocab, ids.shape)
    inputs = torch.where(torch.rand(ids.shape) < SWAPPED, strangers, ids)
    return inputs, torch.where(ids == pad, -100, ids)


def train_model(
    tokenizer: "PreTrainedTokenizerFast", records: list[dict[str, str]], config: TrainConfig
) -> tuple["LlamaForCausalLM", list[dict[str, float]]]:
    """A tiny Llama trained on the records' plain text for `tiny_steps`, and its loss by step.

    Muon on the layers' matrices, AdamW on the rest: for so few steps it learns about twice as fast as AdamW alone.
    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    import torch
    from transformers import get_linear_schedule_with_warmup

    from training.model.load import pick_device, pick_precision

    torch.manual_seed(config.seed)
    device = pick_device()
    model = tiny_llama(tokenizer, config).to(device).train()
    matrices = [weight for name, weight in model.named_parameters() if ".layers." in name and weight.dim() == 2]
    rest = [weight for name, weight in model.named_parameters() if ".layers." not in name or weight.dim() != 2]
    optimizers = [
        torch.optim.Muon(matrices, lr=10 * config.tiny_learning_rate, weight_decay=0.1),
        torch.optim.AdamW(rest, lr=config.tiny_learning_rate, betas=(0.9, 0.95), weight_decay=0.1),
    ]
    schedules = [get_linear_schedule_with_warmup(o, config.tiny_steps // 20, config.tiny_steps) for o in optimizers]
    autocast = torch.autocast(device, torch.bfloat16, enabled=pick_precision("auto", device) == "bf16")
    texts = encode_texts(tokenizer, records)
    print(f"tiny_base: {model.num_parameters():,} parameters, {config.tiny_steps} steps of {TEXTS} texts")
    progress = Progress(config.tiny_steps)
    for step, chosen in enumerate(shuffled_batches(len(texts), config.tiny_steps), 1):
        inputs, labels = padded([texts[index] for index in chosen], tokenizer.pad_token_id, len(tokenizer))
        with autocast:
            loss = model(input_ids=inputs.to(device), labels=labels.to(device), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad()
        progress.show(step, loss)
    return model.cpu().eval(), progress.losses


def shuffled_batches(count: int, steps: int) -> "Iterator[list[int]]":
    """`TEXTS` of the numbers below `count` a step, every number once before any comes again."""
    import torch

    order: list[int] = []
    for _ in range(steps):
        while len(order) < TEXTS:
            order += torch.randperm(count).tolist()
        yield order[:TEXTS]
        order = order[TEXTS:]


class Progress:
    """Prints and keeps the mean loss of each tenth of the steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.every = steps, max(steps // 10, 1)
        self.started, self.sum, self.losses = time.monotonic(), 0.0, []

    def show(self, step: int, loss: "torch.Tensor") -> None:
        self.sum += loss.item()
        if step % self.every:
            return
        mean, self.sum = self.sum / self.every, 0.0
        self.losses.append({"step": step, "loss": round(mean, 4)})
        left = (time.monotonic() - self.started) / step * (self.steps - step)
        print(f"  step {step:5}/{self.steps}  loss {mean:.3f}  ({left:.0f} s left)", flush=True)


if __name__ == "__main__":
    run(main)
