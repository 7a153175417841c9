"""The command line of all steps: `python -m training STEP CONFIG [--set KEY=VALUE …]`."""

import argparse
import ast
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import training
from training.configs import BASE, CONFIGS, SPLITS, TrainConfig, override

STEPS = {name: name for name in ("prepare", "train", "score", "study", "bundle")} | {
    name: f"extras.{name}" for name in ("benchmark", "audit")
}  # of the steps
LIMITED = {
    "score": "N random questions, stratified by type",
    "study": "N validation questions, stratified by type",
    "benchmark": "N random questions of each task",
}
AUDITED = {
    "judgements": "a table (TSV) with the columns question, answer (its id), score (1 to 4)",
    "questions": "JSON lines with id, summary and, if there are any, reference: the text of a reference",
    "medquad": "MedQuAD as Parquet, with the columns of lavita/MedQuAD on the Hub",
}


def main(words: list[str] | None = None) -> None:
    """Parse, then import the step and run it: `--help` and typing errors need not wait for torch."""
    options = parse(words)
    import_module("training.command").run(lambda: import_module(f"training.{STEPS[options.step]}").main(options))


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The options of a step; `configs` are TrainConfigs with the `--set` changes, `config` is the first of them."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=training.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True, help=", ".join(STEPS))
    parsers = {name: add_step(steps, name) for name in STEPS}
    options = parser.parse_args(words)
    if options.step == "audit":
        return options
    names = options.config if options.step == "study" else [options.config]
    try:
        if unknown := [name for name in names if name not in CONFIGS]:
            raise ValueError(f"no configuration {', '.join(unknown)}: there are {', '.join(CONFIGS)}")
        options.configs = [override(CONFIGS[name], options.set) for name in names]
    except ValueError as error:
        parsers[options.step].error(str(error))
    options.config = options.configs[0]
    return options


def add_step(steps: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str) -> argparse.ArgumentParser:
    """The parser of a step with its options. It is described by the docstring of its module, which is not imported."""
    code = Path(__file__).parent.joinpath(*STEPS[name].split(".")).with_suffix(".py").read_text(encoding="utf-8")
    about = ast.get_docstring(ast.parse(code))
    parser = steps.add_parser(name, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    if name == "audit":  # it depends on no configuration
        for option, meaning in AUDITED.items():
            add(f"--{option}", type=Path, required=True, metavar="FILE", help=meaning)
        return parser
    configs = "\n".join(
        f"  {c.name:16} {c.split} split of {c.dataset}; {c.base_model}; rank {c.lora_rank}, rate {c.learning_rate:g}"
        for c in CONFIGS.values()
    )
    keys = ", ".join(field.name for field in fields(TrainConfig))
    parser.epilog = f"configurations:\n{configs}\n\nkeys for --set: {keys}\n"
    if name == "study":
        add("config", nargs="*", default=[BASE.name], metavar="CONFIG", help="one or several, see below")
        add("--assemble", action="store_true", help="only read the run folders; nothing is trained")
    else:
        add("config", metavar="CONFIG", help="a configuration, see below")
        if name != "bundle":  # always written anew
            add("--force", action="store_true", help="run the step even if its results are up to date")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field; repeatable")
    if name in LIMITED:
        add("--limit", type=above_zero, metavar="N", help=LIMITED[name])
    if name == "score":
        add("--split", choices=SPLITS[1:], default="test", help="which questions (default: test)")
        add("--qtypes", type=comma_list, default=(), metavar="TYPE,TYPE", help='only these: "inheritance,frequency"')
        add("--compare", choices=CONFIGS, metavar="CONFIG", help="print both runs beside the first report")
        add("--marks", type=Path, metavar="FILE", help="what a person saved who judged a sample in answers.html")
        add("--no-table", action="store_true", help="don't print the scores: `bundle` prints them too")
    elif name == "benchmark":
        tasks = "pairs, tasks of lm-eval, or their YAML files (default: 13)"
        add("--tasks", type=comma_list, metavar="TASK,TASK", help=tasks)
    elif name == "bundle":
        add("--repo", metavar="OWNER/NAME", help="repository named in the card (default: the folder)")
        texts = "LICENSE of the base, and USE_POLICY.md of a Llama"
        add("--llama-licence", "--licence-texts", type=Path, metavar="DIR", help=texts)
    return parser


def comma_list(text: str) -> tuple[str, ...]:
    return tuple(sorted({name.strip() for name in text.split(",")} - {""}))


def above_zero(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return int(text)


if __name__ == "__main__":
    main()
