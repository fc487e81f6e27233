"""CONTRIBUTING.md names what is there, and says truly what fails where a part is forgotten."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)
_STEPS = 4
"""Formatting, lint, types and layers: what `make test` runs before its tests."""


def recipes() -> dict[str, str]:
    """The text of each recipe by its heading."""
    [part] = re.findall(r"^## Recipes\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    _, *pieces = re.split(r"^### (.+)\n", part, flags=re.MULTILINE)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def test_each_file_is_there() -> None:
    """Whatever looks like a path; NAME stands for a new one."""
    named = {one for one in CODE if re.fullmatch(r"[\w./-]+/[\w.-]+\.\w+", one)}
    named |= set(re.findall(r"(?:tests|listener)/[\w/]+\.py", PAGE))
    assert len(named) > 20
    gone = [one for one in named if "NAME" not in one and not (ROOT / one).is_file()]
    assert gone == []


def test_each_test_is_there() -> None:
    """Functions that are said to fail."""
    there = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {one for one in CODE if re.fullmatch(r"test_\w+", one)}
    assert named
    assert [one for one in named if f"def {one}(" not in there] == []


@pytest.mark.parametrize("recipe", recipes())
def test_each_recipe_touches_three_files_at_most(recipe: str) -> None:
    """Longer ones are for another page; and each says how to try it."""
    text = recipes()[recipe]
    assert 2 <= len(re.findall(r"^\d\. ", text, re.MULTILINE)) <= 3
    assert "Try it: `" in text


@pytest.mark.parametrize("recipe", recipes())
def test_names_stand_in_the_files_of_their_recipe(recipe: str) -> None:
    """Constants, functions and methods: one that moved takes its recipe along."""
    text = recipes()[recipe]
    files = {ROOT / one for one in re.findall(r"(?:listener|tests)/[\w/]+\.py", text)}
    there = "".join(one.read_text("utf-8") for one in files if one.is_file())
    named = re.findall(r"`(?:[A-Z][a-z]\w+\.)?(\w+)(?:\(\))?`", text)
    of_the_code = {one for one in named if re.search("[A-Z_]", one)} - {"NAME", "LISTENER_"}
    moved = [one for one in of_the_code if not re.search(rf"\b{one}\b", there)]
    assert [one for one in moved if not one.startswith("test_")] == []


def test_the_house_has_all_packages() -> None:
    """The table names what the contract of floors names, on the same floors."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [layers] = [
        one["layers"]
        for one in project["tool"]["importlinter"]["contracts"]
        if one["name"] == "floors of listener"
    ]
    wanted = {
        name: len(layers) - place
        for place, layer in enumerate(layers)
        for name in re.findall(r"\w+", layer)
    }
    rows = re.findall(r"^\| (\d) \| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert wanted == {
        name: int(floor) for floor, names in rows for name in re.findall(r"\w+", names)
    }


def test_hooks_are_the_first_steps_of_make_test() -> None:
    """With the tools of .venv, and nothing that is fetched."""
    [recipe] = re.findall(r"^test: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    # mypy stands on a line with the fetching of servers, which goes on meanwhile
    steps = re.findall(r"^\t@?\$\(BIN\)/((?:ruff|mypy|lint)[\w -]*?)(?: &.*)?$", recipe, re.M)
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    [local] = found["repos"]
    assert local["repo"] == "local"
    entries = [one["entry"].removesuffix(" --force-exclude") for one in local["hooks"]]
    assert sorted(entries) == sorted(f".venv/bin/{step}" for step in steps)
    assert len(steps) == _STEPS
    assert all(one["language"] == "system" for one in local["hooks"])
    told = re.findall(r"^\| `([\w-]+)` \| `(.+?)` \|", PAGE, re.MULTILINE)
    assert told == [(one["id"], entry) for one, entry in zip(local["hooks"], entries, strict=True)]
