"""Train and score several configurations on the same prepared data, and choose one by its validation answers."""

import argparse
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from space.contract import Contract
from space.prompt import without_disclaimer
from training.answers import open_partial, read_partial, scoring_contract
from training.command import in_own_process
from training.configs import CONFIGS, CONTRACT, TrainConfig
from training.outputs import read_json, read_jsonl, up_to_date, write_json, write_text
from training.score import score, score_keys
from training.scoring.choice import Candidate, decision, study_table
from training.scoring.plots import study_points
from training.scoring.rouge import rouge_scores
from training.train import NOT_TRAINING, run_key, train

MULTIPLES = ((1, 1), (2, 0.5), (0.5, 2))  # of learning rate and rank; alpha / rank stays as it is
SHARED = ("out", "base_model", "base_revision", "answer_tokens")
PARTIAL = "answers-validation.partial.jsonl"


@dataclass(frozen=True)
class Trial:
    """A configuration with its run.json, scores-validation.json and answers."""

    config: TrainConfig
    trained: dict[str, Any]
    scores: dict[str, Any]
    answers: list[dict[str, Any]]

    @property
    def base(self) -> dict[str, Any]:
        """The base without the number of trained parameters."""
        return {key: value for key, value in self.trained["base"].items() if key != "trainable"}


def main(options: argparse.Namespace) -> None:
    named = options.configs
    configs = list(study_of(named[0])) if len(named) == 1 else comparable(named)
    if not options.assemble:
        for place, config in enumerate(configs):
            print(f"study: {place + 1} of {len(configs)}, {config.name}: {described(config)}", flush=True)
            in_own_process(train_and_score, config, options.limit, configs[:place])
    study = assemble(configs, options.limit)
    chosen = next(config for config in configs if config.name == study["winner"])
    if options.assemble:
        print(f"next: {command('score', chosen)}")
    else:
        print(f"\nstudy: only {chosen.name} is scored on the test split")
        score(chosen, "test")
        print(f"next: {command('bundle', chosen)}")


def study_of(base: TrainConfig) -> tuple[TrainConfig, ...]:
    """The configuration itself, twice its rate at half its rank, and half its rate at twice its rank."""
    if base.lora_rank % 2 or base.lora_alpha % 2:
        raise ValueError(f"lora_rank={base.lora_rank}, lora_alpha={base.lora_alpha}: a study halves both")
    prefix = "" if base.name == f"r{base.lora_rank}" else f"{base.name}-"
    return tuple(
        base
        if (rate, rank) == (1, 1)
        else replace(
            base,
            name=f"{prefix}r{int(rank * base.lora_rank)}",
            learning_rate=rate * base.learning_rate,
            lora_rank=int(rank * base.lora_rank),
            lora_alpha=int(rank * base.lora_alpha),
        )
        for rate, rank in MULTIPLES
    )


def comparable(configs: list[TrainConfig]) -> list[TrainConfig]:
    """The configurations themselves. Raises ValueError if two have one name, or they differ in folder or base."""
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)}: each configuration of a study needs a name of its own")
    for key in SHARED:
        values = sorted({getattr(config, key) for config in configs})
        if len(values) > 1:
            raise ValueError(f"{', '.join(names)} differ in {key} ({', '.join(values)}): add --set {key}=VALUE for all")
    return configs


def described(config: TrainConfig) -> str:
    return f"rate {config.learning_rate:g}, rank {config.lora_rank}, alpha {config.lora_alpha}"


def command(step: str, config: TrainConfig) -> str:
    """The command line of a step with this configuration: the most similar named one with `--set` changes."""

    def changes(named: TrainConfig) -> list[str]:
        return [f"{key}={value}" for key, value in asdict(config).items() if value != getattr(named, key)]

    named = min(CONFIGS.values(), key=lambda one: len(changes(one)))
    return " ".join([f"python -m training {step} {named.name}", *(f"--set {shlex.quote(c)}" for c in changes(named))])


def train_and_score(config: TrainConfig, limit: int | None, earlier: list[TrainConfig]) -> None:
    """One configuration's part of the study, for `in_own_process`."""
    train(config)
    reuse_base_answers(config, limit, earlier)
    score(config, "validation", limit)


def reuse_base_answers(config: TrainConfig, limit: int | None, earlier: list[TrainConfig]) -> None:
    """Let scoring start with the base's answers from an earlier run of this study: the base is the same."""
    contract = scoring_contract(config)
    trained = read_json(config.run_dir / "run.json", command("train", config))
    answers_key, scores_key = score_keys(trained, "validation", limit, contract)
    partial = config.run_dir / PARTIAL
    if up_to_date(config.run_dir / "scores-validation.json", scores_key) or read_partial(partial, answers_key):
        return
    for other in earlier:
        if (other.precision, other.quantize) == (config.precision, config.quantize):
            lines = read_jsonl(other.run_dir / "answers-validation.jsonl", command("score", other))
            rows = {("base", line["id"]): {"side": "base", "id": line["id"], **line["base"]} for line in lines}
            open_partial(partial, answers_key, rows).close()
            print(f"study: reusing the base's {len(rows):,} answers of {other.name}")
            return


def assemble(configs: list[TrainConfig], limit: int | None = None) -> dict[str, Any]:
    """Write study.json and study.svg from the run folders; print the table and return its content.

    Raises FileNotFoundError or ValueError naming a run that is missing, stale or not comparable, and its command.
    """
    contract = scoring_contract(configs[0])
    data = read_json(configs[0].data_dir / "data.json", command("prepare", configs[0]))
    runs = [read_run(config, data, contract, limit) for config in configs]
    for one in runs[1:]:
        check_alike(runs[0], one)
    study = report(runs, data, contract)
    folder = Path(configs[0].out)
    points = [{"name": row["name"], "winner": row["winner"], **row["rouge1"]} for row in study["rows"]]
    write_text(folder / "study.svg", study_points(points, study["n"]))
    write_json(folder / "study.json", study)
    print(f"\n{study_table(study)}\n\nstudy: written to {folder / 'study.json'} and study.svg")
    if study["others_scored_on_test"]:
        print(f"study: scored on test outside this study: {', '.join(study['others_scored_on_test'])}")
    return study


def read_run(config: TrainConfig, data: dict[str, Any], contract: Contract, limit: int | None) -> Trial:
    """A finished run. Raises FileNotFoundError if a file is missing, ValueError if one is stale."""
    training, scoring = command("train", config), f"{command('score', config)} --split validation"
    scoring += f" --limit {limit}" if limit else ""
    trained = read_json(config.run_dir / "run.json", training)
    reason = stale(trained, config, data, contract)
    if reason:
        raise ValueError(f"{config.run_dir / 'run.json'} was trained {reason}: run `{training}` again")
    scores = read_json(config.run_dir / "scores-validation.json", scoring)
    if scores["fingerprint"] != score_keys(trained, "validation", limit, contract)[1]:
        raise ValueError(
            f"{config.run_dir / 'scores-validation.json'} is of another adapter or part of the questions "
            f"({scores['n']:,} of {scores['of']:,}): run `{scoring}` again"
        )
    return Trial(config, trained, scores, read_jsonl(config.run_dir / "answers-validation.jsonl", scoring))


def stale(trained: dict[str, Any], config: TrainConfig, data: dict[str, Any], contract: Contract) -> str | None:
    """How a run.json differs from what training would write now; None if it doesn't."""
    if trained["fingerprint"] == run_key(config, data, contract, trained.get("base_key", "")):
        return None
    if trained["data"]["sha256"] != data["sha256"]:
        return f"on other data than {config.data_dir} holds"
    if trained["contract_sha256"] != contract.sha256:
        return f"under another contract than {CONTRACT.name}"
    then, now = trained["config"], config.public()
    changed = [key for key in now if key not in NOT_TRAINING and then.get(key) != now[key]]
    if changed:
        return "with " + ", ".join(f"{key}={then.get(key)}, not {now[key]}" for key in changed)
    return "by another version of the code"


def check_alike(first: Trial, other: Trial) -> None:
    """Raise ValueError if two runs have different bases or different questions."""
    if first.base != other.base:
        raise ValueError(
            f"{first.config.name} and {other.config.name} were trained on different bases, {first.base} and "
            f"{other.base}: set base_revision to one commit and train both on it"
        )
    asked = [[(line["id"], line["group"], line["reference"]) for line in one.answers] for one in (first, other)]
    if asked[0] != asked[1]:
        raise ValueError(
            f"{other.config.run_dir / 'answers-validation.jsonl'} doesn't answer the questions of {first.config.name}: "
            f"run `{command('score', other.config)} --split validation --force`"
        )


def report(runs: list[Trial], data: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """The content of study.json."""
    groups = [line["group"] for line in runs[0].answers]
    candidates = [Candidate(one.config.name, rouge1(one, contract), cost(one)) for one in runs]
    study = decision(candidates, [facts(one) for one in runs], groups, runs[0].config.seed)
    others = [one.config for one in runs if one.config.name != study["winner"]]
    return {
        **study,
        "of": runs[0].scores["of"],
        "others_scored_on_test": [one.name for one in others if (one.run_dir / "scores-test.json").exists()],
        "data": {key: data[key] for key in ("source", "split", "records", "sha256")},
        "contract_sha256": contract.sha256,
        "base": runs[0].base,
    }


def cost(one: Trial) -> tuple[float, ...]:
    """The costs that `choice.COSTS` names."""
    return one.trained["base"]["trainable"], one.config.epochs


def facts(one: Trial) -> dict[str, Any]:
    """A row of study.json without the scores."""
    return {
        **{key: getattr(one.config, key) for key in ("learning_rate", "lora_rank", "lora_alpha", "epochs")},
        "trained_parameters": one.trained["base"]["trainable"],
        **{key: one.trained[key] for key in ("minutes", "resumed_from_step", "adapter_sha256")},
    }


def rouge1(one: Trial, contract: Contract) -> np.ndarray:
    """ROUGE-1 of each tuned answer [questions]; raises ValueError if the mean is not that of the scores."""
    texts, references = ([line["tuned"]["text"] for line in one.answers], [line["reference"] for line in one.answers])
    plain = [[without_disclaimer(text, contract) for text in side] for side in (texts, references)]
    found = rouge_scores(*plain)["rouge1"]
    written = one.scores["systems"]["tuned"]["without disclaimer"]["rouge1"]["mean"]
    if abs(found.mean() - written) > 1e-9:
        raise ValueError(
            f"{one.config.run_dir}: answers-validation.jsonl scores {found.mean():.4f}, scores-validation.json says "
            f"{written:.4f}: run `{command('score', one.config)} --split validation --force`"
        )
    return found
