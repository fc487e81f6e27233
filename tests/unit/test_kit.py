"""Imports among the tests: what they share stands in tests/kit, and no test needs another one."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"


def imported(path: Path) -> Iterator[str]:
    """Whole names of what a module imports: of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parents[node.level - 1].parts if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{one.name}" for one in node.names)


def is_test(name: str) -> bool:
    """Whether pytest collects a module of this name, or reads it by itself."""
    last = name.rpartition(".")[2]
    file = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return file.exists() and (last.startswith("test_") or last == "conftest")


def places(wanted: Callable[[str], bool], folder: Path = TESTS) -> list[str]:
    """Imports of such modules below a folder, each with the file in which it stands."""
    return [
        f"{path.relative_to(TESTS)}: {name}"
        for path in sorted(folder.rglob("*.py"))
        for name in imported(path)
        if wanted(name)
    ]


def test_no_test_module_is_imported() -> None:
    """A second import gives it fixtures of its own, and a change of one test breaks another."""
    assert places(is_test) == []


def test_the_kit_knows_no_test() -> None:
    """It imports nothing of `tests` but itself: any test may use any part of it."""
    assert places(lambda name: name.startswith("tests.kit."), TESTS / "kit")
    beyond = re.compile(r"tests\.(?!kit\b)")
    assert places(lambda name: bool(beyond.match(name)), TESTS / "kit") == []


def test_what_is_looked_for_is_recognized(tmp_path: Path) -> None:
    """Each way of importing a test module."""
    module = tmp_path / "module.py"
    for text in (
        "import tests.unit.test_kit",
        "from tests.unit import test_kit as kit",
        "from tests.unit.test_kit import is_test",
        "from tests.conftest import pytest_plugins",
        "def late():\n    from tests.unit.test_kit import is_test",
    ):
        module.write_text(text, "utf-8")
        assert any(map(is_test, imported(module))), text
