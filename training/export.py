"""Export an adapter for other loaders, for scripts/export.py: merged weights, GGUF, an Ollama Modelfile, vLLM.

Every export is compared with the adapter on its base in float32, and the findings go with it, in export.json.
"""

import argparse
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from huggingface_hub import ModelCard, snapshot_download
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from model_card.build import vllm_command
from space.contract import Contract, Message, load_contract
from space.prompt import PROBE, end_of_turn, has_system_role
from training.bases import base_folder
from training.model.generate import Generated, Model, generate_answers
from training.model.golden import TOLERANCES, TOP, golden_log_probs
from training.model.llama_cpp import LlamaCpp, make_gguf, need_extra, need_tools
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device
from training.network import plain_errors
from training.outputs import file_sha256, need_file, read_json, whole_folder, write_json, write_text
from training.release.bundle import check_bundle, make_portable, portable_template
from training.release.exports import RECORD, export_card, findings_table
from training.scoring.rouge import rouge_scores

TEXTS = ("LICENSE", "USE_POLICY.md", "NOTICE")
WITH_MODEL = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "contract.toml", *TEXTS)
PROBES = (PROBE, "walrus", "heron", "bison")  # system, question, answer, question
CONTEXT = 4096  # tokens that Ollama keeps

Findings = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """An adapter to export: its bundle, its run.json, and the conversations that every loader must render alike."""

    folder: Path
    name: str  # the adapter's, as its card says
    contract: Contract
    tokenizer: PreTrainedTokenizerBase
    run: dict[str, Any]
    golden: list[dict[str, Any]]

    @property
    def served(self) -> list[dict[str, Any]]:
        """The golden conversations without typed control tokens, which only `sanitize_control_tokens` keeps as text."""
        control = self.tokenizer.get_added_vocab()
        return [g for g in self.golden if not any(t in m["content"] for m in g["messages"] for t in control)]

    def facts(self, kind: str, rows: list[Findings]) -> dict[str, Any]:
        """What export.json says."""
        base = {key: self.run["base"][key] for key in ("model", "revision", "licence")}
        weights = file_sha256(self.folder / "adapter_model.safetensors")
        return {"kind": kind, "name": self.name, "base": base, "adapter_sha256": weights, "findings": rows}


@dataclass(frozen=True)
class Reference:
    """The adapter on its base in float32: log-probabilities after the golden conversations, and greedy answers."""

    log_probs: list[torch.Tensor]  # [vocabulary] each
    answers: list[Generated]


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
            merged = options.to / "merged" if options.merged else Path(temporary) / "merged"
            reference = export_merged(release, merged)
            if options.gguf:
                export_gguf(release, reference, merged, options.to / "gguf", options)


def read_release(adapter: str, revision: str | None) -> Release:
    """Read a bundle or a release on the Hub; raises FileNotFoundError naming what it lacks."""
    folder = Path(adapter)
    if not folder.is_dir():
        with plain_errors(f"{adapter} is no folder here"):
            folder = Path(snapshot_download(adapter, revision=revision))
    for name in ("golden.json", "run.json", "README.md", "LICENSE", "adapter_model.safetensors"):
        need_file(folder / name, "python -m training bundle CONFIG")
    name = ModelCard.load(folder / "README.md").data.get("model_name")
    contract, tokenizer = load_contract(folder / "contract.toml"), load_tokenizer(folder)
    run = read_json(folder / "run.json", "python -m training train CONFIG")
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return Release(folder, name.removesuffix("-LoRA"), contract, tokenizer, run, golden)


# Merged weights


def export_merged(release: Release, folder: Path) -> Reference:
    """Write the base with the adapter merged, in the base's precision, and compare it; returns the adapter's answers.

    Raises ValueError if prompts or logits differ; nothing is written then.
    """
    config = read_json(release.folder / "adapter_config.json", "python -m training train CONFIG")
    base = base_folder(release.folder, config["base_model_name_or_path"], config.get("revision"))
    dtype = AutoConfig.from_pretrained(base).dtype or torch.float32
    device = pick_device()
    print(f"merged: the adapter on {config['base_model_name_or_path']} answers the golden questions", flush=True)
    model = load_adapter(load_base(base, "fp32", device), release.folder, device)
    reference = Reference(golden_log_probs(model, release.golden), greedy_answers(model, release))
    whole = model.merge_and_unload(safe_merge=True).to(dtype)
    with whole_folder(folder) as new:
        whole.save_pretrained(new)
        del model, whole
        copy_base_config(base, new)
        copy_files(release, new)
        make_portable(new)
        write_json(new / "golden.json", release.golden)
        generation_config(base, release).save_pretrained(new)
        row = compare_merged(release, reference, new, str(dtype).removeprefix("torch."), device)
        finish(release, new, "merged", [row])
    return reference


def greedy_answers(model: Model, release: Release) -> list[Generated]:
    prompts = [case["token_ids"] for case in release.golden]
    return generate_answers(
        model, release.tokenizer, prompts, release.contract.decoding.max_new_tokens, batch_size=len(prompts)
    )


def copy_base_config(base: Path, folder: Path) -> None:
    """Keep the base's config.json as it is, for transformers 4 with the rotary frequency where that looks for it."""
    config = read_json(base / "config.json", "")
    rotary = config.get("rope_parameters") or {}
    if "rope_theta" in rotary:
        scaling = {"rope_scaling": rotary} if rotary.get("rope_type", "default") != "default" else {}
        config = {"rope_theta": rotary["rope_theta"]} | scaling | config
    write_json(folder / "config.json", {key: value for key, value in config.items() if key != "_name_or_path"})


def copy_files(release: Release, folder: Path) -> None:
    for name in WITH_MODEL:
        if (release.folder / name).is_file():
            shutil.copyfile(release.folder / name, folder / name)


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


def compare_merged(release: Release, reference: Reference, folder: Path, dtype: str, device: str) -> Findings:
    """Load the written folder as others do and compare; raises ValueError if prompts or logits differ."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [prompt_ids(tokenizer, case["messages"]) for case in release.served]
    model = load_base(folder, "fp32", device)
    found, tolerance = golden_log_probs(model, release.golden), TOLERANCES[dtype]
    tops = [wanted.topk(TOP).indices for wanted in reference.log_probs]
    pairs = zip(found, reference.log_probs, tops, strict=True)
    difference = max(float((one[top] - other[top]).abs().max()) for one, other, top in pairs)
    if difference > tolerance:
        raise ValueError(f"the merged weights give other logits than the adapter: by {difference:.3f} (> {tolerance})")
    answers = [(given.text, given.ended) for given in greedy_answers(model, release)]
    loader = f"transformers {transformers.__version__}, {dtype}"
    return {"logits": round(difference, 5)} | findings("merged", loader, release, ids, answers, reference.answers)


def findings(
    file: str, loader: str, release: Release, ids: list[list[int]], answers: list[tuple[str, bool]],
    wanted: list[Generated],
) -> Findings:  # fmt: skip
    """How an export's prompts and greedy answers (text, whether it ended) compare with the adapter's."""
    check_prompts(release, file, loader, ids)
    texts, references = [text for text, _ in answers], [given.text for given in wanted]
    return {
        "file": file,
        "loader": loader,
        "prompts": len(ids),
        "answers": len(answers),
        "ended": sum(ended for _, ended in answers),
        "disclaimer": sum(release.contract.disclaimer in text for text in texts),
        "equal": sum(text == reference for text, reference in zip(texts, references, strict=True)),
        "rougeL": round(float(np.mean(rouge_scores(texts, references)["rougeL"])), 4),
    }


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: list[Message], template: str | None = None) -> list[int]:
    """What a loader makes of a conversation that knows nothing but the chat template (default: the tokenizer's)."""
    ids = tokenizer.apply_chat_template(messages, chat_template=template, add_generation_prompt=True, return_dict=False)
    return cast("list[int]", ids)


def check_prompts(release: Release, file: str, loader: str, ids: list[list[int]]) -> None:
    """Raises ValueError if a prompt has other token ids than in golden.json."""
    for case, found in zip(release.served, ids, strict=True):
        if found != case["token_ids"]:
            raise ValueError(f"{file}: {case['name']!r} has other token ids in {loader} than in golden.json")


def finish(release: Release, folder: Path, kind: str, rows: list[Findings]) -> None:
    """Write the findings and the card, check the files, and show what was found."""
    sums = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    facts = release.facts(kind, rows) | {"files": sums}
    write_json(folder / RECORD, facts)
    write_text(folder / "README.md", export_card(facts, release.name))
    check_bundle(folder)
    print(findings_table(rows), flush=True)


# GGUF and Ollama


def export_gguf(
    release: Release, reference: Reference, merged: Path, folder: Path, options: argparse.Namespace
) -> None:
    """Write GGUF files, each asked by llama.cpp, with a Modelfile for the last one."""
    wanted = [given for case, given in zip(release.golden, reference.answers, strict=True) if case in release.served]
    rows = []
    with whole_folder(folder) as new:
        copy_files(release, new)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (new / name).unlink()  # they are inside of the files
        for kind in options.gguf:
            path = new / f"{release.name}-{kind}.gguf"
            print(f"gguf: {path.name}", flush=True)
            make_gguf(merged, path, kind, options.llama_cpp)
            served = LlamaCpp(path, CONTEXT)
            ids = [served.token_ids(served.prompt(case["messages"])) for case in release.served]
            limit = release.contract.decoding.max_new_tokens
            answers = [served.answer(case["messages"], limit) for case in release.served]
            rows.append(findings(path.name, "llama.cpp", release, ids, answers, wanted))
            if options.ollama and kind == options.gguf[-1]:
                text = modelfile(release, path.name, served)
                rows.append({"file": "Modelfile", "loader": "its Go template", "prompts": len(ids)})
                write_text(new / "Modelfile", text)
        finish(release, new, "gguf", rows)


def modelfile(release: Release, gguf: str, served: LlamaCpp) -> str:
    """A Modelfile whose template gives the golden prompts, as llama.cpp reads them; raises ValueError if it doesn't."""
    bos = release.tokenizer.bos_token if served.token_ids("") else ""
    template, contract = ollama_template(release, bos or ""), release.contract
    prompts = [rendered_by_go(template, contract.system_prompt, case["messages"]) for case in release.served]
    check_prompts(release, "Modelfile", "Ollama's template", [served.token_ids(text) for text in prompts])
    texts = [release.folder / name for name in TEXTS if (release.folder / name).is_file()]
    parameters = {
        "temperature": contract.decoding.temperature,
        "top_p": contract.decoding.top_p,
        "repeat_penalty": contract.decoding.repetition_penalty,
        "num_predict": contract.decoding.max_new_tokens,
        "num_ctx": CONTEXT,
        "stop": json.dumps(release.tokenizer.eos_token),
    }
    lines = [
        f"FROM ./{gguf}",
        f'TEMPLATE """{template}"""',
        f'SYSTEM """{contract.system_prompt}"""',
        *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
        *(f'LICENSE """\n{path.read_text(encoding="utf-8")}"""' for path in texts),
    ]
    return "\n".join(lines) + "\n"


def ollama_template(release: Release, bos: str) -> str:
    """The chat template as a Go template, taken from how it renders a conversation of four turns.

    bos: what the loader puts in front itself. A Go template can't trim what is typed, as some chat templates do.
    """
    roles = ("system", "user", "assistant", "user")
    turns = [{"role": role, "content": text} for role, text in zip(roles, PROBES, strict=True)]
    text = str(release.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    before, first, answer, next_, asked = re.split("|".join(PROBES), text)
    return (
        f"{before.removeprefix(bos)}{{{{ .System }}}}{{{{ $first := true }}}}{{{{ range .Messages }}}}"
        f'{{{{ if eq .Role "user" }}}}{{{{ if $first }}}}{first}{{{{ else }}}}{next_}{{{{ end }}}}{{{{ .Content }}}}'
        f'{asked}{{{{ $first = false }}}}{{{{ else if eq .Role "assistant" }}}}{answer.removeprefix(asked)}'
        "{{ .Content }}{{ end }}{{ end }}"
    )


def rendered_by_go(template: str, system: str, messages: list[Message]) -> str:
    """A conversation in Ollama's template: .Messages begins with the system message, whose text is also .System."""
    from gotpl import render  # optional

    turns = [{"role": "system", "content": system}, *messages]
    return str(render(template, {"System": system, "Messages": [{k.title(): v for k, v in m.items()} for m in turns]}))


# vLLM


def export_vllm(release: Release, adapter: str, folder: Path) -> None:
    """Write the chat template and the command that serves the adapter; raises ValueError if the template differs."""
    tokenizer, contract = release.tokenizer, release.contract
    template = portable_template(tokenizer.chat_template, contract, has_system_role(tokenizer, tokenizer.chat_template))
    ids = [prompt_ids(tokenizer, case["messages"], template) for case in release.served]
    check_prompts(release, "vllm", "its chat template", ids)
    rank = read_json(release.folder / "adapter_config.json", "")["r"]
    where = str(Path(adapter).resolve()) if Path(adapter).is_dir() else adapter
    command = vllm_command(release.name, where, release.run["base"], rank, contract)
    with whole_folder(folder) as new:
        write_text(new / "chat_template.jinja", template)
        write_text(new / "serve.sh", f"#!/bin/sh\n# vLLM adds no disclaimer and checks nothing.\n{command}\n")
    print(f"vllm: run in {folder}, or as serve.sh there:\n{command}", flush=True)
