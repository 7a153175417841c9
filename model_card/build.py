"""Render the model card from the JSON files of a bundle; every number in it was written by a run."""

import html
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from space.contract import Contract, load_contract
from space.credit import Credit
from space.licences import LLAMAS, licence_name
from training.outputs import file_sha256, read_json
from training.scoring import benchmarks, table
from training.scoring.benchmarks import BITS, measures
from training.scoring.facts import AGREEMENT
from training.scoring.table import ROUGE_LABELS, VIEWS

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the values of --max-lora-rank
Json = dict[str, Any]
PICTURES = ("loss", "scores", "lengths", "study")
AUDIT = Path(__file__).with_name("results") / "audit" / "liveqa.json"


def card_text(
    bundle: Path,
    repo: str,
    revision: str | None = None,
    *,
    space: str | None = None,
    accepted: str | None = None,
    exports: Sequence[str] = (),
) -> str:
    """The card of a bundle, whose other files are all there already.

    repo: what the snippet loads, a Hub id or a folder. revision: the tag it pins. space: where to try it, owner/name.
    accepted: why it was published although it missed a gate. exports: repositories made from it. Raises
    jinja2.UndefinedError where the template asks for something that no file holds.
    """
    names = ("run.json", "evaluation/data.json", "evaluation/scores-test.json", "adapter_config.json")
    run, data, scores, adapter = (read_json(bundle / name, "python -m training bundle CONFIG") for name in names)
    path = bundle / "evaluation" / "benchmarks.json"
    tasks = read_json(path, "") if path.exists() else None
    contract = load_contract(bundle / "contract.toml")
    base, key = run["base"], bundle / "model.pub"
    title = repo.split("/")[1] if repo.count("/") == 1 else title_of(base["model"], data)
    return template("template.md").render(
        run=run,
        adapter=adapter,
        data=data,
        scores=scores,
        tasks=tasks,
        audit=table.audit_blocks(read_json(AUDIT, "python -m training audit")),
        contract=contract,
        question=json.dumps(contract.golden[0].messages[0]["content"], ensure_ascii=False),
        disclaimer=json.dumps(contract.disclaimer, ensure_ascii=False),
        metadata=metadata(run, data, scores, title, tasks),
        title=title,
        repo=repo,
        revision=f', revision="{revision}"' if revision else "",
        space=space,
        accepted=accepted,
        exports=exports,
        key=file_sha256(key) if key.is_file() else None,
        llama=LLAMAS.get(base["licence"]),
        licence=licence_name(base["licence"]),
        dataset=dataset_name(data),
        credit=Credit.of(data["source"]).markdown(data["source"]["name"]),
        vllm=vllm_command(title, repo, base, adapter["r"], contract),
        pictures={name: alt_text(bundle / "evaluation" / f"{name}.svg") for name in PICTURES},
    )


def template(name: str, trim_blocks: bool = False) -> Template:
    """A template of this folder; all show figures with `table` and `benchmarks`, and how well facts are found."""
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False,
                              trim_blocks=trim_blocks, lstrip_blocks=trim_blocks)  # fmt: skip
    agreement = read_json(AGREEMENT, "python tests/fact_labels.py MEDQUAD.csv")["independent"]
    environment.globals |= {"table": table, "benchmarks": benchmarks, "agreement": agreement}
    return environment.get_template(name)


def title_of(base: str, data: Json) -> str:
    """A name for what has no repository yet: base and data, so that of a Llama it begins as its licence asks."""
    words = re.findall(r"[\w.]+", Credit.of(data["source"]).title or Path(data["source"]["name"]).stem)
    return f"{Path(base).name.removesuffix('-Instruct')}-{'-'.join(words)}-LoRA"


def vllm_command(name: str, adapter: str, base: Json, rank: int, contract: Contract) -> str:
    """The shell command that serves an adapter (a Hub id or folder) with vLLM. base: from run.json."""
    revision = ["--revision", base["revision"]] if base["revision"] else []
    words = [
        "vllm", "serve", base["model"], *revision, "--enable-lora",
        "--max-lora-rank", str(next(allowed for allowed in VLLM_RANKS if allowed >= rank)),
        "--lora-modules", f"{name}={adapter}", "--chat-template", "chat_template.jinja",
        "--override-generation-config", json.dumps(asdict(contract.decoding)),
    ]  # fmt: skip
    return shlex.join(words)


def dataset_name(data: Json) -> str:
    """The data's title, else the name of its file or repository."""
    return Credit.of(data["source"]).title or f"`{data['source']['name']}`"


def alt_text(picture: Path) -> str | None:
    """The sentences that stand for a picture, which its SVG file carries as its title; None without the picture."""
    if not picture.exists():
        return None
    [title] = re.findall("<title>(.*?)</title>", picture.read_text(encoding="utf-8"), re.DOTALL)
    return " ".join(html.unescape(title).split())


def metadata(run: Json, data: Json, scores: Json, title: str, tasks: Json | None = None) -> str:
    """The card's YAML: licence, base, tags, and the scores as `model-index`."""
    base, on_hub = run["base"]["model"], run["base"]["revision"] is not None
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=data["source"]["name"],
            dataset_name=dataset_name(data).strip("`"),
            dataset_split=f"{scores['split']} ({data['split']} split, n = {scores['n']})",
            dataset_revision=data["source"]["revision"],
            metric_type="rouge",
            metric_name=f"{label} F1, {view}",
            metric_value=round(100 * scores["systems"]["tuned"][view][kind]["mean"], 2),
        )
        for view in VIEWS
        for kind, label in ROUGE_LABELS.items()
    ]
    for name, task, metric, figures in measures(tasks or {"tasks": {}}):
        tuned, bits = figures["tuned"], metric == BITS
        results.append(
            EvalResult(
                task_type="text-generation" if bits else "multiple-choice",
                dataset_type=data["source"]["name"] if task["dataset"] == "json" else task["dataset"],
                dataset_name=f"{name}, a task of lm-eval, n = {task['n']}",
                metric_type=metric if bits else "accuracy",
                metric_name=metric,
                metric_value=round(tuned["mean"] if bits else 100 * tuned["share"], 4),
            )
        )
    co2 = None  # of the training as the Hub reads it, in grams
    if energy := run.get("energy"):
        since = f", of the steps after {run['resumed_from_step']}" if run["resumed_from_step"] else ""
        co2 = {"emissions": float(f"{1000 * energy['co2_kg']:.3g}"), "source": energy["by"] + since,
               "training_type": "fine-tuning", "geographical_location": energy["grid"],
               "hardware_used": run["device"]}  # fmt: skip
    card = ModelCardData(
        language=None if data.get("warnings") else "en",
        license=run["base"]["licence"],
        library_name="peft",
        pipeline_tag="text-generation",
        base_model=base if on_hub else None,
        base_model_relation="adapter",
        datasets=[data["source"]["name"]] if "/" in data["source"]["name"] else None,
        metrics=["rouge"],
        tags=["lora", "medical", "sft", *([f"base_model:adapter:{base}"] if on_hub else [])],
        model_name=title,
        eval_results=results,
        co2_eq_emissions=co2,
    )
    return card.to_yaml()
