"""Imports between the rooms of the project go one way, down the list ROOMS; so no two packages import each other."""

import ast
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

OURS = ("training", "space", "model_card", "scripts")
ROOMS = ["scripts", "extras", "steps", "release", "model_card", "scoring", "model", "data", "foundations", "space"]
COMMANDS = {"model_card.results"}  # a script beside the results that it writes
# Modules of training/ that every room may import; the others are steps.
FOUNDATIONS = {"bases", "command", "configs", "datasets", "embedded", "network", "outputs"}
# Modules of space/ that others may import.
SHARED = {"contract", "prompt", "credit", "licences", "lists", "sources", "timeouts"}


def modules() -> dict[str, Path]:
    """Dotted name -> file of each module of ours."""
    paths = sorted(path for folder in OURS for path in (ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names & MODULES.keys()


def room(module: str) -> str:
    folder, name, *inner = [*module.split("."), ""]
    if module in COMMANDS:
        return "scripts"
    if folder != "training":
        return folder
    if any(inner):
        return name
    return "foundations" if name in FOUNDATIONS else "steps"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__init__")])
def test_imports_go_one_way(module):
    for name in imported(MODULES[module]):
        here, there = room(module), room(name)
        assert ROOMS.index(here) <= ROOMS.index(there), f"{module} ({here}) imports {name} ({there})"
        assert name.split(".")[0] != "scripts", f"{module} imports {name}, which is a command"
        if there == "space" and here != "space":
            fitted = here == "scripts" and name == "space.output_checks"
            shared = name.split(".")[1] in SHARED or fitted
            assert shared, f"{module} imports {name}, which only the Space uses"


def test_space_imports_its_modules_by_their_plain_names():
    """The Space runs its folder as plain modules, and type checkers know each module by one name."""
    for path in sorted((ROOT / "space").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "space", f"{path}: {ast.unparse(node)}"


def test_the_top_level_is_the_fixed_one():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.splitlines()}
    rooms = {"training", "space", "model_card", "scripts", "tests", "pyproject.toml", "README.md"}
    also = {"Makefile", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} <= rooms | also
