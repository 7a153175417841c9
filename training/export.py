"""Export an adapter for other loaders, for scripts/export.py: merged weights, GGUF, an Ollama Modelfile, vLLM.

Every export is compared with the adapter on its base in float32, and the findings go with it, in export.json.
"""

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from model_card.build import vllm_command
from space.contract import Contract, Message, load_contract
from space.prompt import PROBE, end_of_turn
from training.ask import base_folder, download
from training.model.generate import Generated, Model, generate_answers, greedy
from training.model.golden import TOLERANCES, TOP, golden_log_probs
from training.model.llama_cpp import LlamaCpp, make_gguf, need_extra, need_tools
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device
from training.outputs import file_sha256, need_file, read_json, whole_folder, write_json, write_text
from training.release.bundle import check_bundle, control_tokens, make_portable, portable_template
from training.release.exports import RECORD, export_card, findings_table
from training.scoring.rouge import rouge_scores

TEXTS = ("LICENSE", "USE_POLICY.md", "NOTICE")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
PROBES = (PROBE, "walrus", "heron", "bison")  # system, question, answer, question
CONTEXT = 4096  # tokens that Ollama keeps

Findings = dict[str, Any]
Encode = Callable[[list[Message]], list[int]]  # how a loader encodes a conversation


@dataclass(frozen=True)
class Release:
    """An adapter to export: its bundle, its run.json, and the golden conversations with their token ids."""

    folder: Path
    name: str  # the adapter's, as its card says
    contract: Contract
    tokenizer: PreTrainedTokenizerBase
    run: dict[str, Any]
    golden: list[dict[str, Any]]

    @property
    def served(self) -> list[dict[str, Any]]:
        """The golden conversations without typed control tokens, into which the template puts spaces."""
        control = self.tokenizer.get_added_vocab()
        return [g for g in self.golden if not any(t in m["content"] for m in g["messages"] for t in control)]


def main(options: argparse.Namespace) -> None:
    if not (options.merged or options.gguf or options.vllm):
        raise ValueError("nothing to export: give --merged, --gguf KIND or --vllm")
    if options.ollama and not options.gguf:
        raise ValueError("--ollama: its Modelfile needs a file of weights, add --gguf Q8_0")
    if options.gguf:
        need_tools(options.llama_cpp, options.gguf)
    if options.ollama:
        need_extra("gotpl")
    release = read_release(options.adapter, options.revision)
    if options.vllm:
        export_vllm(release, options.adapter, options.to / "vllm")
    if options.merged or options.gguf:
        with tempfile.TemporaryDirectory(prefix="merged-") as temporary:
            merged = (options.to if options.merged else Path(temporary)) / "merged"
            answers = export_merged(release, merged)
            if options.gguf:
                export_gguf(release, answers, merged, options)


def read_release(adapter: str, revision: str | None) -> Release:
    """Read a bundle or a release on the Hub; raises FileNotFoundError naming what it lacks."""
    folder = Path(adapter) if Path(adapter).is_dir() else download(adapter, revision)
    for name in ("golden.json", "run.json", "README.md", "LICENSE", "adapter_model.safetensors"):
        need_file(folder / name, "python -m training bundle CONFIG")
    name = ModelCard.load(folder / "README.md").data.get("model_name")
    contract, tokenizer = load_contract(folder / "contract.toml"), load_tokenizer(folder)
    run, golden = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("run.json", "golden.json"))
    return Release(folder, name.removesuffix("-LoRA"), contract, tokenizer, run, golden)


# How an export compares with the adapter


def compare_prompts(release: Release, file: str, loader: str, encode: Encode) -> Findings:
    """Raises ValueError if a loader gives a golden conversation other token ids than golden.json.

    "typed": whether a message that is written in control tokens gets none of them.
    """
    for case in release.served:
        if encode(case["messages"]) != case["token_ids"]:
            raise ValueError(f"{file}: {case['name']!r} has other token ids in {loader} than in golden.json")
    control, texts = set(release.tokenizer.get_added_vocab().values()), ("Hi", *control_tokens(release.tokenizer))
    harmless, hostile = (
        [token for token in encode([{"role": "user", "content": content}]) if token in control]
        for content in ("Hi", "".join(texts))
    )
    return {"file": file, "loader": loader, "prompts": len(release.served), "typed": harmless == hostile}


def compare_answers(release: Release, answers: Sequence[tuple[str, bool]], wanted: list[Generated]) -> Findings:
    """How greedy answers (text, whether it ended) compare with the adapter's."""
    texts, references = [text for text, _ in answers], [given.text for given in wanted]
    return {
        "answers": len(answers),
        "ended": sum(ended for _, ended in answers),
        "disclaimer": sum(release.contract.disclaimer in text for text in texts),
        "equal": sum(text == reference for text, reference in zip(texts, references, strict=True)),
        "rougeL": round(float(np.mean(rouge_scores(texts, references)["rougeL"])), 4),
    }


def template_encoder(tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> Encode:
    """What a loader does that knows nothing but a chat template (default: the tokenizer's)."""

    def encode(messages: list[Message]) -> list[int]:
        arguments: dict[str, Any] = {"chat_template": template, "add_generation_prompt": True, "return_dict": False}
        return list(tokenizer.apply_chat_template(messages, **arguments))

    return encode


def finish(release: Release, folder: Path, kind: str, rows: list[Findings]) -> None:
    """Write the findings and the card, check the files, and show what was found."""
    facts = {
        "kind": kind,
        "name": release.name,
        "base": {key: release.run["base"][key] for key in ("model", "revision", "licence")},
        "adapter_sha256": file_sha256(release.folder / "adapter_model.safetensors"),
        "findings": rows,
        "files": {path.name: file_sha256(path) for path in sorted(folder.iterdir())},
    }
    write_json(folder / RECORD, facts)
    write_text(folder / "README.md", export_card(facts, release.name))
    check_bundle(folder)
    print(findings_table(rows), flush=True)


# Merged weights


def export_merged(release: Release, folder: Path) -> list[Generated]:
    """Write the base with the adapter merged, in the base's precision, and compare it; returns the adapter's answers.

    Raises ValueError if prompts or logits differ; nothing is written then.
    """
    config = read_json(release.folder / "adapter_config.json", "python -m training train CONFIG")
    base = base_folder(release.folder, config["base_model_name_or_path"], config.get("revision"))
    dtype = AutoConfig.from_pretrained(base).dtype or torch.float32
    device = pick_device()
    print(f"merged: the adapter on {config['base_model_name_or_path']} answers the golden questions", flush=True)
    model = load_adapter(load_base(base, "fp32", device), release.folder, device)
    log_probs, answers = golden_log_probs(model, release.golden), greedy_answers(model, release)
    whole = model.merge_and_unload(safe_merge=True).to(dtype)
    with whole_folder(folder) as new:
        whole.save_pretrained(new)
        del model, whole
        copy_base_config(base, new)
        copy_files(release, new, (*TOKENIZER, "contract.toml", *TEXTS))
        make_portable(new)
        write_json(new / "golden.json", release.golden)
        generation_config(base, release).save_pretrained(new)
        loader = f"transformers {transformers.__version__}, {str(dtype).removeprefix('torch.')}"
        row = compare_prompts(release, "merged", loader, template_encoder(AutoTokenizer.from_pretrained(new)))
        merged = load_base(new, "fp32", device)
        found, tolerance = golden_log_probs(merged, release.golden), TOLERANCES[str(dtype).removeprefix("torch.")]
        row["logits"] = logit_difference(found, log_probs, tolerance)
        again = [(given.text, given.ended) for given in greedy_answers(merged, release)]
        finish(release, new, "merged", [row | compare_answers(release, again, answers)])
    return answers


def greedy_answers(model: Model, release: Release) -> list[Generated]:
    prompts = [case["token_ids"] for case in release.golden]
    decoding = greedy(model, release.tokenizer, release.contract.decoding.max_new_tokens)
    batches = generate_answers(model, release.tokenizer, prompts, decoding, len(prompts))
    return sorted((given for batch in batches for given in batch), key=lambda given: given.index)


def logit_difference(found: list[torch.Tensor], wanted: list[torch.Tensor], tolerance: float) -> float:
    """The largest difference among the likeliest tokens; raises ValueError if it is above the tolerance."""
    differences = ((one - other)[other.topk(TOP).indices] for one, other in zip(found, wanted, strict=True))
    largest = max(float(difference.abs().max()) for difference in differences)
    if largest > tolerance:
        raise ValueError(f"the merged weights give other logits than the adapter: by {largest:.3f} (> {tolerance})")
    return round(largest, 5)


def copy_base_config(base: Path, folder: Path) -> None:
    """Keep the base's config.json as it is, for transformers 4 with the rotary frequency where that looks for it."""
    config = read_json(base / "config.json", "")
    rotary = config.get("rope_parameters") or {}
    if "rope_theta" in rotary:
        scaling = {"rope_scaling": rotary} if rotary.get("rope_type", "default") != "default" else {}
        config = {"rope_theta": rotary["rope_theta"]} | scaling | config
    write_json(folder / "config.json", {key: value for key, value in config.items() if key != "_name_or_path"})


def copy_files(release: Release, folder: Path, names: Sequence[str]) -> None:
    for path in (release.folder / name for name in names):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


def generation_config(base: Path, release: Release) -> GenerationConfig:
    """The contract's decoding, and every token that ends an answer."""
    path, decoding = base / "generation_config.json", release.contract.decoding
    config = GenerationConfig.from_pretrained(base) if path.is_file() else GenerationConfig()
    own = config.eos_token_id
    ends = {end_of_turn(release.tokenizer), *(own if isinstance(own, list) else [own])} - {None}
    config.update(
        do_sample=True, temperature=decoding.temperature, top_p=decoding.top_p, max_new_tokens=decoding.max_new_tokens,
        repetition_penalty=decoding.repetition_penalty, eos_token_id=sorted(ends),
        pad_token_id=release.tokenizer.pad_token_id, _from_model_config=False,
    )  # fmt: skip
    return config


# GGUF and Ollama


def export_gguf(release: Release, answers: list[Generated], merged: Path, options: argparse.Namespace) -> None:
    """Write GGUF files, each asked by llama.cpp, with a Modelfile for the last one. answers: the adapter's."""
    wanted = [given for case, given in zip(release.golden, answers, strict=True) if case in release.served]
    limit, rows = release.contract.decoding.max_new_tokens, []
    with whole_folder(options.to / "gguf") as new:
        copy_files(release, new, ("contract.toml", *TEXTS))
        for kind in options.gguf:
            path = new / f"{release.name}-{kind}.gguf"
            print(f"gguf: {path.name}", flush=True)
            make_gguf(merged, path, kind, options.llama_cpp)
            server = LlamaCpp(path, CONTEXT)
            row = compare_prompts(release, path.name, "llama.cpp", server.prompt_ids)
            given = [server.answer(case["messages"], limit) for case in release.served]
            rows.append(row | compare_answers(release, given, wanted))
            if options.ollama and kind == options.gguf[-1]:
                rows.append(write_modelfile(release, path, server))
        finish(release, new, "gguf", rows)


def write_modelfile(release: Release, gguf: Path, server: LlamaCpp) -> Findings:
    """A Modelfile whose template gives the golden prompts, as llama.cpp reads them; raises ValueError if it doesn't."""
    from gotpl import render  # optional

    bos = release.tokenizer.bos_token if server.token_ids("") else ""
    template, contract = ollama_template(release.tokenizer, bos or ""), release.contract

    def encode(messages: list[Message]) -> list[int]:
        """As Ollama does: .Messages begins with the system message, whose text is also .System."""
        turns = [{"role": "system", "content": contract.system_prompt}, *messages]
        values = [{key.title(): value for key, value in turn.items()} for turn in turns]
        return server.token_ids(str(render(template, {"System": contract.system_prompt, "Messages": values})))

    parameters = {
        "temperature": contract.decoding.temperature,
        "top_p": contract.decoding.top_p,
        "repeat_penalty": contract.decoding.repetition_penalty,
        "num_predict": contract.decoding.max_new_tokens,
        "num_ctx": CONTEXT,
        "stop": json.dumps(release.tokenizer.eos_token),
    }
    texts = [path.read_text(encoding="utf-8") for name in TEXTS if (path := release.folder / name).is_file()]
    lines = [
        f"FROM ./{gguf.name}",
        f'TEMPLATE """{template}"""',
        f'SYSTEM """{contract.system_prompt}"""',
        *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
        *(f'LICENSE """\n{text}"""' for text in texts),
    ]
    write_text(gguf.with_name("Modelfile"), "\n".join(lines) + "\n")
    return compare_prompts(release, "Modelfile", "its Go template", encode)


def ollama_template(tokenizer: PreTrainedTokenizerBase, bos: str) -> str:
    """The chat template as a Go template, taken from how it renders a conversation of four turns.

    bos: what the loader puts in front itself. A Go template can't trim or change what is typed.
    """
    roles = ("system", "user", "assistant", "user")
    turns = [{"role": role, "content": text} for role, text in zip(roles, PROBES, strict=True)]
    text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    before, first, answer, next_, asked = re.split("|".join(PROBES), text)
    return (
        f"{before.removeprefix(bos)}{{{{ .System }}}}{{{{ $first := true }}}}{{{{ range .Messages }}}}"
        f'{{{{ if eq .Role "user" }}}}{{{{ if $first }}}}{first}{{{{ else }}}}{next_}{{{{ end }}}}{{{{ .Content }}}}'
        f'{asked}{{{{ $first = false }}}}{{{{ else if eq .Role "assistant" }}}}{answer.removeprefix(asked)}'
        "{{ .Content }}{{ end }}{{ end }}"
    )


# vLLM


def export_vllm(release: Release, adapter: str, folder: Path) -> None:
    """Write the chat template and the command that serves the adapter; raises ValueError if the template differs."""
    tokenizer, contract = release.tokenizer, release.contract
    template = portable_template(tokenizer, contract)
    compare_prompts(release, "vllm", "its chat template", template_encoder(tokenizer, template))
    rank = read_json(release.folder / "adapter_config.json", "")["r"]
    where = str(Path(adapter).resolve()) if Path(adapter).is_dir() else adapter
    command = vllm_command(release.name, where, release.run["base"], rank, contract)
    with whole_folder(folder) as new:
        write_text(new / "chat_template.jinja", template)
        write_text(new / "serve.sh", f"#!/bin/sh\n# vLLM adds no disclaimer and checks nothing.\n{command}\n")
    print(f"vllm: run in {folder}, or as serve.sh there:\n{command}", flush=True)
