"""Two runs' test scores and the figures first reported in one table: what split and disclaimer do to one system."""

from dataclasses import dataclass
from typing import Any

from training.configs import TrainConfig
from training.outputs import read_json
from training.scoring.table import KINDS, VIEWS

# What the system's first users reported, on a random 80/10/10 split with the disclaimer on both sides.
REPORTED = {
    "rouge1": {"base": 0.2547, "tuned": 0.3359},
    "rouge2": {"base": 0.0455, "tuned": 0.1884},
    "rougeL": {"base": 0.1226, "tuned": 0.2367},
}
DISCLAIMER = {"without disclaimer": "taken off", "with disclaimer": "on both sides"}
LEAKAGE = "test split, also in train"
UNKNOWN = "–"

Values = dict[str, Any]  # the content of scores-test.json or data.json


@dataclass(frozen=True)
class Column:
    """One run as one protocol reads it: what labels it, and section -> row -> text of what it knows."""

    head: dict[str, str]
    cells: dict[str, dict[str, str]]


def compare(config: TrainConfig, other: TrainConfig) -> str:
    """The table of two scored runs for a terminal.

    Raises FileNotFoundError or ValueError naming the run that isn't scored, or whose data were prepared anew since.
    """
    return comparison(*test_scores(config), *test_scores(other))


def test_scores(config: TrainConfig) -> tuple[Values, Values]:
    """A run's scores on the test split, and the report of the data it was trained on."""
    scores = read_json(config.run_dir / "scores-test.json", f"python -m training.score {config.name}")
    data = read_json(config.data_dir / "data.json", f"python -m training.prepare {config.name}")
    trained = read_json(config.run_dir / "run.json", f"python -m training.train {config.name}")
    if trained["data"]["sha256"] != data["sha256"]:
        raise ValueError(
            f"{config.run_dir} was trained on other data than {config.data_dir} holds: "
            f"run `python -m training.train {config.name}` and `python -m training.score {config.name}` again"
        )
    return scores, data


def comparison(scores_a: Values, data_a: Values, scores_b: Values, data_b: Values) -> str:
    """Scores × 100 for a terminal; a and b are the content of a run's scores-test.json and data.json."""
    table = columns(scores_a, data_a, scores_b, data_b)
    rows = [("", [], ""), *((key, [column.head[key] for column in table], "") for key in table[0].head)]
    for section, labels in sections(table).items():
        rows += [("", [], ""), (section, [], "")]
        rows += [(label, cells_of(table, section, label), "  ") for label in labels]
    wide = 1 + max(len(cell) for _, cells, _ in rows for cell in cells)
    width = max(len(indent + label) for label, _, indent in rows)
    lines = [
        f"{indent + label:{width}}" + "".join(f"{cell:>{wide}}" for cell in cells) for label, cells, indent in rows
    ]
    lines = ["mean ROUGE F1 × 100", *lines, "", *readings(scores_a, data_a, scores_b, data_b)]
    return "\n".join(line.rstrip() for line in lines).rstrip()


def markdown_comparison(scores_a: Values, data_a: Values, scores_b: Values, data_b: Values) -> str:
    """The same as `comparison`, as a table of a page."""
    table = columns(scores_a, data_a, scores_b, data_b)
    heads = ["<br>".join(f"{key} {text}".strip() for key, text in column.head.items()) for column in table]
    lines = ["| mean ROUGE F1 × 100 | " + " | ".join(heads) + " |", "|---|" + len(table) * "---:|"]
    for section, labels in sections(table).items():
        lines.append(f"| **{section}** |" + len(table) * " |")
        lines += [f"| {label} | " + " | ".join(cells_of(table, section, label)) + " |" for label in labels]
    return "\n\n".join(["\n".join(lines), *readings(scores_a, data_a, scores_b, data_b)])


def columns(scores_a: Values, data_a: Values, scores_b: Values, data_b: Values) -> list[Column]:
    """As first reported; then each run with the disclaimer, as that report had it, and without."""
    first = Column(
        {"": "first reported", "split": "random", "disclaimer": DISCLAIMER["with disclaimer"], "questions": UNKNOWN},
        {label: model_cells(REPORTED[kind]) for kind, label in KINDS.items()},
    )
    runs = ((scores_a, data_a), (scores_b, data_b))
    return [first, *(run_column(scores, data, view) for scores, data in runs for view in reversed(VIEWS))]


def run_column(scores: Values, data: Values, view: str) -> Column:
    """A run's own figures of one view."""
    n, of = scores["n"], scores["of"]
    head = {
        "": scores["config"],
        "split": data["split"],
        "disclaimer": DISCLAIMER[view],
        "questions": f"{n:,} of {of:,}" if n < of else f"{n:,}",
    }
    cells = {}
    for kind, label in KINDS.items():
        means = {name: system[view][kind]["mean"] for name, system in scores["systems"].items()}
        cells[label] = model_cells(means)
        if view == "without disclaimer":  # of the other there is no interval
            cells[label]["its 95 % interval"] = interval(scores["gains"]["gain of tuned over base"][kind])
        floors = {name: mean for name, mean in means.items() if not scores["systems"][name]["model"]}
        cells[label] |= {f"no model: {name}": f"{100 * mean:.1f}" for name, mean in floors.items()}
    cells[LEAKAGE] = {what: f"{share:.1%}" for what, share in data["leakage"].items()}
    return Column(head, cells)


def model_cells(means: dict[str, float]) -> dict[str, str]:
    base, tuned = means["base"], means["tuned"]
    gain = f"{100 * (tuned - base):+.1f}"
    return {"base": f"{100 * base:.1f}", "tuned": f"{100 * tuned:.1f}", "gain of tuned over base": gain}


def interval(gain: dict[str, float | None]) -> str:
    return UNKNOWN if gain["low"] is None else f"[{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def sections(table: list[Column]) -> dict[str, list[str]]:
    """Section -> its rows, all that any column knows; those without the disclaimer know most and come first."""
    found: dict[str, dict[str, None]] = {}
    for column in sorted(table, key=lambda one: -sum(map(len, one.cells.values()))):
        for section, cells in column.cells.items():
            found.setdefault(section, {}).update(dict.fromkeys(cells))
    return {section: list(labels) for section, labels in found.items()}


def cells_of(table: list[Column], section: str, label: str) -> list[str]:
    return [column.cells.get(section, {}).get(label, UNKNOWN) for column in table]


def readings(scores_a: Values, data_a: Values, scores_b: Values, data_b: Values) -> list[str]:
    """For each run with the split first reported: what its strongest floor reaches beside the figure reported."""
    sentences = []
    for scores, data in ((scores_a, data_a), (scores_b, data_b)):
        if data["split"] != "random":
            continue
        floors = {
            name: s["with disclaimer"]["rougeL"]["mean"] for name, s in scores["systems"].items() if not s["model"]
        }
        name = max(floors, key=floors.__getitem__)
        reached, reported = floors[name], REPORTED["rougeL"]["tuned"]
        compared = "more" if reached > reported else "no more"
        sentences.append(
            f"{scores['config']}: with the split and disclaimer of the first report, “{name}” reaches ROUGE-L "
            f"{100 * reached:.1f}, {compared} than the {100 * reported:.1f} first reported for the tuned model."
        )
    return sentences
