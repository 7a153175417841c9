"""Ask base and tuned the tasks of lm-eval (extra `benchmarks`): what was learned, and what forgotten.

Reads OUT/data, the base and runs/CONFIG/adapter. Writes runs/CONFIG/{benchmarks.json, lm_eval/}, which `bundle` takes
in. `pairs` are made from the test split: a true answer beside three about other diseases, so lm_eval/, and with it the
bundle, holds questions and answers of the data. The other tasks are read from the Hub: medical ones, and general ones.
What can't be read is left out. Interrupted calls resume, and a call with other --tasks adds to the results.
"""

import argparse
import logging
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any

from space.contract import Contract
from space.prompt import encode_prompt, has_system_role
from training.answers import each_side, load_run, scoring_contract
from training.configs import SPLITS, TrainConfig
from training.data.splits import shuffled
from training.model.load import load_tokenizer, pick_device, pick_precision
from training.outputs import fingerprint, read_json, up_to_date, write_json
from training.score import read_split
from training.scoring.benchmarks import BITS, FORMAT, Sample, benchmarks_blocks, score_task
from training.scoring.pairs import METRICS, TASK, make_pairs, task_of, write_task
from training.scoring.table import terminal_text

MEDICAL = ("medqa_4options", "medmcqa", "pubmedqa", "mmlu_anatomy", "mmlu_clinical_knowledge", "mmlu_college_biology",
           "mmlu_college_medicine", "mmlu_medical_genetics", "mmlu_professional_medicine")  # fmt: skip
GENERAL = ("hellaswag", "arc_easy", "wikitext")  # to see what was forgotten
TASKS = (TASK, *MEDICAL, *GENERAL)
# lm-eval's own task names a data set that only a script can read, which `datasets` no longer runs.
PUBMEDQA = {
    "task": "pubmedqa",
    "dataset_path": "qiaojin/PubMedQA",
    "dataset_name": "pqa_labeled",
    "training_split": None,
    "validation_split": None,
    "test_split": "train",  # its only one
    "doc_to_text": "Abstract: {{context.contexts | join('\n')}}\nQuestion: {{question}}\nAnswer:",
}
BATCH = 16  # options at once
MAX_TOKENS = 2048  # in a row; of a longer text, in each window


def main(options: argparse.Namespace) -> None:
    report = benchmark(options.config, options.tasks or TASKS, options.limit, options.force)
    print(f"\n{terminal_text(benchmarks_blocks(report))}")


def benchmark(config: TrainConfig, names: tuple[str, ...], limit: int | None, force: bool) -> dict[str, Any]:
    """Write benchmarks.json and return it; results of the same run that it already holds are kept.

    names: of tasks of lm-eval, or YAML files. Raises ValueError without lm-eval, for an unknown name, or if no task's
    data could be read.
    """
    if find_spec("lm_eval") is None:
        raise ValueError("lm-eval is not installed: install the extra `benchmarks`, pip install -e '.[benchmarks]'")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    trained = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
    target, report = config.run_dir / "benchmarks.json", empty_report(config, trained)
    # lm-eval keeps likelihoods there as they come, so that an interrupted call resumes
    cache = config.run_dir / f"benchmarks-{report['key']}.partial"
    if up_to_date(target, report["key"], "key"):
        report = read_json(target, "")
    if force:
        rmtree(cache, ignore_errors=True)
    # published, so a file's name stands there without its folder
    done = [] if force else [task["asked"] for task in report["tasks"].values()]
    missing = [name for name in names if [Path(name).name, limit] not in done]
    if not missing:
        print(f"benchmark: {target} is up to date")
        return report
    tasks, report["left out"] = load_tasks(config, missing)
    if not tasks:
        raise ValueError(f"none of {', '.join(missing)} could be read, see above; nothing was written")
    base, tuned = ask_sides(config, trained, [task for task, _ in tasks], limit, cache)
    for (task, asked), before, after in zip(tasks, base, tuned, strict=True):
        about = {"asked": [Path(asked).name, limit], "of": len(task.eval_docs), "dataset": task.config.dataset_path}
        train = read_split(config, "train") if task.task_name == TASK else []
        report["tasks"][task.task_name] = about | score_task(before, after, train, config.seed)
    write_json(target, report)
    rmtree(cache, ignore_errors=True)
    print(f"benchmark: {len(tasks)} tasks, written to {target}")
    return report


def empty_report(config: TrainConfig, trained: dict[str, Any]) -> dict[str, Any]:
    """The report of a run before any task; "key" is the fingerprint of what the results depend on."""
    version, precision = metadata.version("lm_eval"), pick_precision(config.precision, pick_device())
    run = (trained["fingerprint"], trained["adapter_sha256"], trained["data"]["sha256"])
    key = fingerprint(FORMAT, version, run, scoring_contract(config).sha256, precision)
    about = {
        "format": FORMAT,
        "key": key,
        "adapter_sha256": trained["adapter_sha256"],
        "lm_eval": version,
        "precision": precision,
    }
    return about | {"tasks": {}, "left out": {}}


def load_tasks(config: TrainConfig, names: list[str]) -> tuple[list[tuple[Any, str]], dict[str, str]]:
    """The tasks with what was asked for, which may be a group; and why others are left out."""
    from lm_eval.tasks import TaskManager  # of an extra

    ours = [name for name in names if name == TASK or Path(name).is_file()]
    manager = TaskManager(include_defaults=ours != names)  # reading lm-eval's own tasks takes some seconds
    if unknown := [name for name in names if name not in ours and name not in manager.task_index]:
        raise ValueError(f"--tasks {','.join(unknown)}: neither a task of lm-eval nor a YAML file of one")
    tasks, left_out = [], {}
    for name in names:
        try:
            spec = pairs_task(config) if name == TASK else PUBMEDQA if name == "pubmedqa" else name
            for task in manager.load(spec)["tasks"].values():
                if not {*METRICS, BITS} & task.aggregation().keys():
                    raise ValueError(f"{task.task_name} measures neither accuracy nor bits per byte")
                task.set_config("num_fewshot", task.get_config("num_fewshot") or 0)
                task.set_fewshot_seed(config.seed)
                tasks.append((task, name))
        except (OSError, ValueError, RuntimeError) as error:  # no network, no such data, or no longer readable
            left_out[Path(name).name] = " ".join(str(error).split())[:200]
            print(f"benchmark: {name} is left out: {left_out[Path(name).name]}")
    return tasks, left_out


def pairs_task(config: TrainConfig) -> dict[str, Any]:
    """Write the pairs to runs/CONFIG/lm_eval, from where they go into the bundle; their task as lm-eval takes it."""
    pairs = make_pairs({split: read_split(config, split) for split in SPLITS}, config.seed)
    if not pairs:
        raise ValueError("no test question names a disease and has three answers about others beside its own")
    folder, contract = config.run_dir / "lm_eval", scoring_contract(config)
    tokenizer = load_tokenizer(config.run_dir / "adapter")
    system_role = has_system_role(tokenizer, tokenizer.chat_template)
    write_task(folder, pairs, contract, system_role)
    return task_of(str(folder.resolve() / f"{TASK}.jsonl"), contract, system_role)


def ask_sides(
    config: TrainConfig, trained: dict[str, Any], tasks: list[Any], limit: int | None, cache: Path
) -> list[list[list[Sample]]]:
    """What lm-eval says of each question [sides, tasks, questions], of base and tuned."""
    from lm_eval.api.model import CachingLM  # of an extra
    from lm_eval.models.huggingface import HFLM

    model, tokenizer = load_run(config, trained)
    contract, precision = scoring_contract(config), pick_precision(config.precision, pick_device())
    lm = HFLM(
        pretrained=model,
        tokenizer=tokenizer,
        max_length=min(MAX_TOKENS, getattr(model.config, "max_position_embeddings", MAX_TOKENS)),
        mixed_precision_dtype="bfloat16" if precision == "bf16" else None,
        softmax_dtype="float32",
        chat_template_args={"date_string": contract.date_string},
    )
    answers_of_sides = []
    for side in each_side(model, config):
        cached = CachingLM(lm, str(cache / f"{side}.db"))
        answers = []
        for task in tasks:
            if task.task_name == TASK:
                check_prompts(lm, task, contract)
            # windows of a long text are long themselves
            lm.batch_size_per_gpu = min(BATCH, config.score_batch) if task.OUTPUT_TYPE == "multiple_choice" else 1
            answers.append(ask(side, cached, task, limit, config.seed))
        answers_of_sides.append(answers)
        cached.dbdict.close()
    return answers_of_sides


def check_prompts(lm: Any, task: Any, contract: Contract) -> None:
    """Raise ValueError if lm-eval would put a question otherwise than training did."""
    for pair in task.eval_docs:
        context = task.fewshot_context(
            pair, 0, apply_chat_template=True, fewshot_as_multiturn=True, chat_template=lm.apply_chat_template
        )
        asked = [{"role": "user", "content": pair["question"]}]
        if lm.tok_encode(context) != encode_prompt(lm.tokenizer, asked, contract):
            raise ValueError(
                f"{pair['question']!r}: lm-eval would not give the prompt that was trained; leave out pairs"
            )


def ask(side: str, lm: Any, task: Any, limit: int | None, seed: int) -> list[Sample]:
    """What lm-eval says of each question, or of `limit` random ones."""
    from lm_eval.evaluator import evaluate  # of an extra

    name, n = task.task_name, len(task.eval_docs)
    chosen = sorted(map(int, shuffled(map(str, range(n)), f"{seed}:{name}")[:limit]))
    print(f"benchmark: {side} on {name}, {len(chosen):,} of {n:,}", flush=True)
    results = evaluate(
        lm,
        {"tasks": {name: task}},
        samples={name: chosen} if len(chosen) < n else None,
        bootstrap_iters=0,
        apply_chat_template=name == TASK,
        fewshot_as_multiturn=True,
    )
    return sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
