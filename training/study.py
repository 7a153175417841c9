"""Train and score several configurations on the same prepared data, and choose one on validation.

One CONFIG (default: r16) stands for three: itself, twice its learning rate at half its rank, and half its learning rate
at twice its rank. Several CONFIGs stand for themselves. Writes OUT/study.json and study.svg. Only the chosen
configuration is then scored on the test split. Interrupted calls resume. The configurations can also be trained and
scored (--split validation) on different machines: collect the run folders under one OUT and add --assemble.
"""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from space.contract import Contract
from training.answers import Answers, answers_in, scoring_contract
from training.command import in_own_process
from training.configs import CONFIGS, TrainConfig, study_of
from training.outputs import read_json, read_jsonl, write_json, write_text
from training.score import score, score_keys
from training.scoring.choice import Candidate, decision, study_table
from training.scoring.plots import study_points
from training.scoring.report import rouge1
from training.train import NOT_TRAINING, run_key, train


class Trial(NamedTuple):
    """A configuration with its run.json, scores-validation.json and answers."""

    config: TrainConfig
    trained: dict[str, Any]
    scores: dict[str, Any]
    answers: list[dict[str, Any]]


def main(options: argparse.Namespace) -> None:
    configs = options.configs if len(options.configs) > 1 else study_of(options.config)
    check_comparable(configs)
    if not options.assemble:
        for place, config in enumerate(configs):
            settings = f"rate {config.learning_rate:g}, rank {config.lora_rank}, alpha {config.lora_alpha}"
            print(f"study: {place + 1} of {len(configs)}, {config.name}: {settings}", flush=True)
            in_own_process(train_and_score, config, options.limit, configs[:place])
    study = assemble(configs, options.limit)
    chosen = next(config for config in configs if config.name == study["winner"])
    if options.assemble:
        print(f"next: {command('score', chosen)}")
    else:
        print(f"\nstudy: only {chosen.name} is scored on the test split")
        score(chosen, "test")
        print(f"next: {command('bundle', chosen)}")


def check_comparable(configs: Sequence[TrainConfig]) -> None:
    """Raise ValueError if two configurations have one name, or they differ in folder, base or questions."""
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)}: each configuration of a study needs a name of its own")
    for key in ("out", "base_model", "base_revision", "answer_tokens", "seed"):
        values = sorted({str(getattr(config, key)) for config in configs})
        if len(values) > 1:
            raise ValueError(f"{', '.join(names)} differ in {key} ({', '.join(values)}): add --set {key}=VALUE for all")


def command(step: str, config: TrainConfig) -> str:
    """The command line of a step with this configuration: the most similar named one with `--set` changes."""

    def changes(named: TrainConfig) -> list[str]:
        return [f"{key}={value}" for key, value in asdict(config).items() if value != getattr(named, key)]

    named = min(CONFIGS.values(), key=lambda one: len(changes(one)))
    return " ".join([f"python -m training {step} {named.name}", *(f"--set {shlex.quote(c)}" for c in changes(named))])


def train_and_score(config: TrainConfig, limit: int | None, earlier: Sequence[TrainConfig]) -> None:
    """One configuration's part of the study, for `in_own_process`."""
    train(config)
    score(config, "validation", limit, known=base_answers(config, earlier))


def base_answers(config: TrainConfig, earlier: Sequence[TrainConfig]) -> Answers:
    """The base's answers from an earlier run of this study in the same precision: it is the same base."""
    for other in earlier:
        if (other.precision, other.quantize) == (config.precision, config.quantize):
            lines = read_jsonl(other.run_dir / "answers-validation.jsonl", command("score", other))
            return answers_in(lines, "base")
    return {}


def assemble(configs: Sequence[TrainConfig], limit: int | None = None) -> dict[str, Any]:
    """Write study.json and study.svg from the run folders; print the table and return its content.

    Raises FileNotFoundError or ValueError naming a run that is missing, stale or not comparable, and its command.
    """
    contract, folder = scoring_contract(configs[0]), Path(configs[0].out)
    data = read_json(configs[0].data_dir / "data.json", command("prepare", configs[0]))
    trials = [read_trial(config, data, contract, limit) for config in configs]
    study = report(trials, data, contract)
    points = [{"name": row["name"], "winner": row["winner"], **row["rouge1"]} for row in study["rows"]]
    write_text(folder / "study.svg", study_points(points, study["n"]))
    write_json(folder / "study.json", study)
    print(f"\n{study_table(study)}\n\nstudy: written to {folder / 'study.json'} and study.svg")
    return study


def read_trial(config: TrainConfig, data: dict[str, Any], contract: Contract, limit: int | None) -> Trial:
    """A finished run. Raises FileNotFoundError if a file is missing, ValueError if one is stale."""
    training, scoring = command("train", config), f"{command('score', config)} --split validation"
    scoring += f" --limit {limit}" if limit else ""
    trained = read_json(config.run_dir / "run.json", training)
    if trained["fingerprint"] != run_key(config, data, contract, trained.get("base_key", "")):
        how = changed_fields(trained, config) or "other data, another contract or another version of the code"
        raise ValueError(f"{config.run_dir / 'run.json'} was trained with {how}: run `{training}` again")
    scores = read_json(config.run_dir / "scores-validation.json", scoring)
    if scores["fingerprint"] != score_keys(trained, "validation", limit, contract)[1]:
        raise ValueError(
            f"{config.run_dir / 'scores-validation.json'} is of another adapter or part of the questions "
            f"({scores['n']:,} of {scores['of']:,}): run `{scoring}` again"
        )
    return Trial(config, trained, scores, read_jsonl(config.run_dir / "answers-validation.jsonl", scoring))


def changed_fields(trained: dict[str, Any], config: TrainConfig) -> str:
    """How the configuration in a run.json differs from the one to train now, as far as that changes the adapter."""
    then, now = trained["config"], config.public()
    fields = [key for key in now if key not in NOT_TRAINING and then.get(key) != now[key]]
    return ", ".join(f"{key}={then.get(key)}, not {now[key]}" for key in fields)


def common_base(trials: list[Trial]) -> dict[str, Any]:
    """The base of all runs, without the number of trained parameters.

    Raises ValueError if two runs have different ones, such as commits of one repository.
    """
    names = [one.config.name for one in trials]
    bases = [{key: value for key, value in one.trained["base"].items() if key != "trainable"} for one in trials]
    for name, base in zip(names, bases, strict=True):
        if base != bases[0]:
            raise ValueError(
                f"{names[0]} and {name} were trained on different bases, {bases[0]} and {base}: set base_revision to "
                "one commit and train both on it"
            )
    return bases[0]


def report(trials: list[Trial], data: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """The content of study.json."""
    groups = [line["group"] for line in trials[0].answers]
    candidates, facts = [], []
    for one in trials:
        trainable = one.trained["base"]["trainable"]
        scores = rouge1(one.answers, "tuned", contract)
        candidates.append(Candidate(one.config.name, scores, (trainable, one.config.epochs)))
        facts.append(
            {key: getattr(one.config, key) for key in ("learning_rate", "lora_rank", "lora_alpha", "epochs")}
            | {"trained_parameters": trainable}
            | {key: one.trained[key] for key in ("minutes", "resumed_from_step", "adapter_sha256")}
        )
    study = decision(candidates, facts, groups, trials[0].config.seed)
    return study | {
        "of": trials[0].scores["of"],
        "data": {key: data[key] for key in ("source", "split", "records", "sha256")},
        "contract_sha256": contract.sha256,
        "base": common_base(trials),
    }
