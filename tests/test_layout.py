"""Imports flow one way: scripts -> steps -> release, scoring, model, data, model_card -> configs -> space.contract."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

OURS = ("training", "space", "model_card", "scripts")
STEPS = {"prepare", "train", "score", "bundle", "study", "compare", "answers", "run_record", "progress"}


def modules() -> list[Path]:
    return sorted(path for room in OURS for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The dotted names of our own modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in names if name.split(".")[0] in OURS}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_flow_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] != "scripts", f"nothing imports scripts, {path} does"
        if room == "space":
            assert parts[0] == "space", f"space/ is pushed alone, but {path} imports {name}"
        elif parts[0] == "space" and len(parts) > 1:
            assert parts[1] in ("contract", "prompt", "credit", "licences") or room == "scripts", (
                f"only contract, prompt, credit and licences are shared, {path} imports {name}"
            )
        inner = path.relative_to(ROOT).parts[:2] in (("training", d) for d in ("data", "model", "scoring", "release"))
        if inner and parts[0] == "training" and len(parts) > 1:
            assert parts[1] not in STEPS, f"{path} is below the steps, but imports {name}"


def test_only_the_typing_of_space_names_the_package():
    """The Space runs its folder as plain modules: `space.` may be named for type checkers alone."""
    for path in sorted((ROOT / "space").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guarded = {
            id(node)
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
            for node in ast.walk(branch)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("space"):
                assert id(node) in guarded, f"{path}: {ast.unparse(node)}"


def test_the_top_level_is_the_fixed_one():
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.splitlines()}
    rooms = {"training", "space", "model_card", "scripts", "tests", "pyproject.toml", "README.md"}
    also = {"Makefile", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} <= rooms | also
