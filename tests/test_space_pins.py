"""The Space's folder as Spaces read it: pins equal the project's, metadata is within the Hub's rules."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
import yaml
from conftest import ROOT
from space_app import SPACE


def project_pins() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["space"]]
    return dict(line.split("==") for line in lines)


def space_pins() -> dict[str, str]:
    text = (SPACE / "requirements.txt").read_text(encoding="utf-8")
    return dict(line.split("==") for line in text.splitlines() if line and not line.startswith("#"))


def front_matter() -> dict:
    return yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])


def test_every_requirement_of_the_space_is_pinned_as_the_project_pins_it():
    pins = space_pins()
    assert pins == {name: project_pins()[name] for name in pins}
    assert {"torch", "transformers", "peft", "spaces"} <= pins.keys()


def test_gradio_comes_from_the_readme_alone_in_the_projects_version():
    assert "gradio" not in space_pins() and "pydantic" not in space_pins()
    assert front_matter()["sdk_version"] == project_pins()["gradio"] == version("gradio")


def test_all_that_the_space_imports_is_required():
    imported = set()
    for path in SPACE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported |= {name.split(".")[0] for name in names}
    ours = {path.stem for path in SPACE.glob("*.py")} | {"space"}  # `space.` is for type checkers alone
    packages = {"sklearn": "scikit-learn"}
    needed = {packages.get(name, name) for name in imported - ours - sys.stdlib_module_names}
    # the Hub installs gradio, which needs the others
    with_gradio = {"gradio", "starlette", "anyio", "fastapi", "httpx", "pydantic", "uvicorn"}
    assert needed <= space_pins().keys() | with_gradio


def test_the_metadata_is_within_the_rules_of_the_hub():
    card = front_matter()
    assert card["sdk"] == "gradio" and card["app_file"] == "app.py" and (SPACE / card["app_file"]).is_file()
    assert len(card["short_description"]) <= 60
    assert card["python_version"] == "3.12.12" and card["suggested_hardware"] == "zero-a10g"
    assert card["license"] == "apache-2.0"


def test_the_readme_of_the_space_names_every_file():
    text = (SPACE / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in SPACE.iterdir() if path.suffix in (".py", ".css", ".toml")} - {"__init__.py"}
    assert names == set(re.findall(r"`([a-z_]+\.(?:py|css|toml))`", text)) & names


@pytest.mark.parametrize(("entry", "option"), [("app.py", "--share"), ("serve.py", "--upstream")])
def test_help_is_quick_and_needs_nothing_installed(entry, option):
    found = subprocess.run(
        [sys.executable, "-S", "-E", "-s", SPACE / entry, "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 0 and option in found.stdout, found.stderr
