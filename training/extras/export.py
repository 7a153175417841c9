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
from huggingface_hub import ModelCard, snapshot_download
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from model_card.build import vllm_command
from space.contract import Contract, Message, load_contract
from space.prompt import PROBE
from training.bases import base_folder
from training.extras.llama_cpp import LlamaCpp, make_gguf, need_extra, need_tools
from training.model.generate import Generated, Model, generate_answers, greedy
from training.model.golden import TOLERANCES, TOP, golden_log_probs
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device
from training.network import plain_errors
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
class Bundle:
    """The bundle of an adapter to export, with its run.json, and the golden conversations with their token ids."""

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
    bundle = read_bundle(options.adapter, options.revision)
    if options.vllm:
        export_vllm(bundle, options.adapter, options.to / "vllm")
    if options.merged or options.gguf:
        with tempfile.TemporaryDirectory(prefix="merged-") as temporary:
            merged = (options.to if options.merged else Path(temporary)) / "merged"
            answers = export_merged(bundle, merged)
            if options.gguf:
                export_gguf(bundle, answers, merged, options)


def read_bundle(adapter: str, revision: str | None) -> Bundle:
    """Read a bundle or a release on the Hub; raises FileNotFoundError naming what it lacks."""
    folder = Path(adapter)
    if not folder.is_dir():
        with plain_errors(f"{adapter} is no folder here"):
            folder = Path(snapshot_download(adapter, revision=revision))
    for name in ("golden.json", "run.json", "README.md", "LICENSE", "adapter_model.safetensors"):
        need_file(folder / name, "python -m training bundle CONFIG")
    name = ModelCard.load(folder / "README.md").data.get("model_name")
    contract, tokenizer = load_contract(folder / "contract.toml"), load_tokenizer(folder)
    run, golden = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("run.json", "golden.json"))
    return Bundle(folder, name.removesuffix("-LoRA"), contract, tokenizer, run, golden)


# How an export compares with the adapter


def compare_prompts(bundle: Bundle, file: str, loader: str, encode: Encode) -> Findings:
    """Raises ValueError if a loader gives a golden conversation other token ids than golden.json.

    "typed": whether a message that is written in control tokens gets none of them.
    """
    for case in bundle.served:
        if encode(case["messages"]) != case["token_ids"]:
            raise ValueError(f"{file}: {case['name']!r} has other token ids in {loader} than in golden.json")
    control, texts = set(bundle.tokenizer.get_added_vocab().values()), ("Hi", *control_tokens(bundle.tokenizer))
    harmless, hostile = (
        [token for token in encode([{"role": "user", "content": content}]) if token in control]
        for content in ("Hi", "".join(texts))
    )
    return {"file": file, "loader": loader, "prompts": len(bundle.served), "typed": harmless == hostile}


def compare_answers(bundle: Bundle, answers: list[Generated], wanted: list[Generated]) -> Findings:
    """How greedy answers compare with the adapter's."""
    texts, references = ([answer.text for answer in side] for side in (answers, wanted))
    return {
        "answers": len(answers),
        "ended": sum(answer.ended for answer in answers),
        "disclaimer": sum(bundle.contract.disclaimer in text for text in texts),
        "equal": sum(text == reference for text, reference in zip(texts, references, strict=True)),
        "rougeL": round(float(np.mean(rouge_scores(texts, references)["rougeL"])), 4),
    }


def template_encoder(tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> Encode:
    """What a loader does that knows nothing but a chat template (default: the tokenizer's)."""

    def encode(messages: list[Message]) -> list[int]:
        arguments: dict[str, Any] = {"chat_template": template, "add_generation_prompt": True, "return_dict": False}
        return list(tokenizer.apply_chat_template(messages, **arguments))

    return encode


def finish(bundle: Bundle, folder: Path, kind: str, rows: list[Findings]) -> None:
    """Write the findings and the card, check the files, and show what was found."""
    facts = {
        "kind": kind,
        "name": bundle.name,
        "base": {key: bundle.run["base"][key] for key in ("model", "revision", "licence")},
        "adapter_sha256": file_sha256(bundle.folder / "adapter_model.safetensors"),
        "findings": rows,
        "files": {path.name: file_sha256(path) for path in sorted(folder.iterdir())},
    }
    write_json(folder / RECORD, facts)
    write_text(folder / "README.md", export_card(facts, bundle.name))
    check_bundle(folder)
    print(findings_table(rows), flush=True)


# Merged weights


def export_merged(bundle: Bundle, folder: Path) -> list[Generated]:
    """Write the base with the adapter merged, in the base's precision, and compare it; returns the adapter's answers.

    Raises ValueError if prompts or logits differ; nothing is written then.
    """
    config = read_json(bundle.folder / "adapter_config.json", "python -m training train CONFIG")
    base = base_folder(bundle.folder, config["base_model_name_or_path"], config.get("revision"))
    dtype = AutoConfig.from_pretrained(base).dtype or torch.float32
    precision, device = str(dtype).removeprefix("torch."), pick_device()
    print(f"merged: the adapter on {config['base_model_name_or_path']} answers the golden questions", flush=True)
    model = load_adapter(load_base(base, "fp32", device), bundle.folder, device)
    log_probs, answers = golden_log_probs(model, bundle.golden), greedy_answers(model, bundle)
    whole = model.merge_and_unload(safe_merge=True).to(dtype)
    whole.generation_config = sampling(whole, bundle)
    with whole_folder(folder) as new:
        whole.save_pretrained(new)
        del model, whole
        copy_base_config(base, new)
        copy_files(bundle, new, (*TOKENIZER, "golden.json", "contract.toml", *TEXTS))
        make_portable(new)
        loader = f"transformers {transformers.__version__}, {precision}"
        row = compare_prompts(bundle, "merged", loader, template_encoder(AutoTokenizer.from_pretrained(new)))
        merged = load_base(new, "fp32", device)
        pairs = zip(golden_log_probs(merged, bundle.golden), log_probs, strict=True)
        difference = max(float((found - wanted)[wanted.topk(TOP).indices].abs().max()) for found, wanted in pairs)
        if difference > TOLERANCES[precision]:
            raise ValueError(f"the merged weights give other logits than the adapter: by {difference:.3f}")
        row |= {"logits": round(difference, 5)} | compare_answers(bundle, greedy_answers(merged, bundle), answers)
        finish(bundle, new, "merged", [row])
    return answers


def greedy_answers(model: Model, bundle: Bundle) -> list[Generated]:
    prompts = [case["token_ids"] for case in bundle.golden]
    return generate_answers(
        model, bundle.tokenizer, prompts, bundle.contract.decoding.max_new_tokens, batch_size=len(prompts)
    )


def sampling(model: Model, bundle: Bundle) -> GenerationConfig:
    """The contract's decoding, and every token that ends an answer."""
    decoding = bundle.contract.decoding
    config = greedy(model, bundle.tokenizer, decoding.max_new_tokens)
    config.update(
        do_sample=True,
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        repetition_penalty=decoding.repetition_penalty,
    )
    return config


def copy_base_config(base: Path, folder: Path) -> None:
    """Keep the base's config.json as it is, for transformers 4 with the rotary frequency where that looks for it."""
    config = read_json(base / "config.json", "")
    rotary = config.get("rope_parameters") or {}
    if "rope_theta" in rotary:
        scaling = {"rope_scaling": rotary} if rotary.get("rope_type", "default") != "default" else {}
        config = {"rope_theta": rotary["rope_theta"]} | scaling | config
    write_json(folder / "config.json", {key: value for key, value in config.items() if key != "_name_or_path"})


def copy_files(bundle: Bundle, folder: Path, names: Sequence[str]) -> None:
    for path in (bundle.folder / name for name in names):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


# GGUF and Ollama


def export_gguf(bundle: Bundle, answers: list[Generated], merged: Path, options: argparse.Namespace) -> None:
    """Write GGUF files, each asked by llama.cpp, with a Modelfile for the last one. answers: the adapter's."""
    wanted = [given for case, given in zip(bundle.golden, answers, strict=True) if case in bundle.served]
    limit, rows = bundle.contract.decoding.max_new_tokens, []
    with whole_folder(options.to / "gguf") as new:
        copy_files(bundle, new, ("contract.toml", *TEXTS))
        for kind in options.gguf:
            path = new / f"{bundle.name}-{kind}.gguf"
            print(f"gguf: {path.name}", flush=True)
            make_gguf(merged, path, kind, options.llama_cpp)
            server = LlamaCpp(path, CONTEXT)
            row = compare_prompts(bundle, path.name, "llama.cpp", server.prompt_ids)
            given = [server.answer(case["messages"], limit) for case in bundle.served]
            rows.append(row | compare_answers(bundle, given, wanted))
            if options.ollama and kind == options.gguf[-1]:
                rows.append(write_modelfile(bundle, path, server))
        finish(bundle, new, "gguf", rows)


def write_modelfile(bundle: Bundle, gguf: Path, server: LlamaCpp) -> Findings:
    """A Modelfile whose template gives the golden prompts, as llama.cpp reads them; raises ValueError if it doesn't."""
    from gotpl import render  # optional

    bos = bundle.tokenizer.bos_token if server.token_ids("") else ""
    template, contract = ollama_template(bundle.tokenizer, bos or ""), bundle.contract

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
        "stop": json.dumps(bundle.tokenizer.eos_token),
    }
    texts = [path.read_text(encoding="utf-8") for name in TEXTS if (path := bundle.folder / name).is_file()]
    lines = [
        f"FROM ./{gguf.name}",
        f'TEMPLATE """{template}"""',
        f'SYSTEM """{contract.system_prompt}"""',
        *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
        *(f'LICENSE """\n{text}"""' for text in texts),
    ]
    write_text(gguf.with_name("Modelfile"), "\n".join(lines) + "\n")
    return compare_prompts(bundle, "Modelfile", "its Go template", encode)


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


def export_vllm(bundle: Bundle, adapter: str, folder: Path) -> None:
    """Write the chat template and the command that serves the adapter; raises ValueError if the template differs."""
    tokenizer, contract = bundle.tokenizer, bundle.contract
    template = portable_template(tokenizer, contract)
    compare_prompts(bundle, "vllm", "its chat template", template_encoder(tokenizer, template))
    rank = read_json(bundle.folder / "adapter_config.json", "")["r"]
    where = str(Path(adapter).resolve()) if Path(adapter).is_dir() else adapter
    command = vllm_command(bundle.name, where, bundle.run["base"], rank, contract)
    with whole_folder(folder) as new:
        write_text(new / "chat_template.jinja", template)
        write_text(new / "serve.sh", f"#!/bin/sh\n# vLLM adds no disclaimer and checks nothing.\n{command}\n")
    print(f"vllm: run in {folder}, or as serve.sh there:\n{command}", flush=True)
