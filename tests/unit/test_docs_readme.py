"""README and docs say what the program does: commands, options, observations, layers, packages.

`python -m tests.unit.test_docs_readme` writes anew what in docs is made from the code.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from listener import __version__, cli
from listener.cli import STATUSES, parser
from listener.observations import events
from listener.observations.events import Observation

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
DOCUMENTS = README + "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
OBSERVATIONS = ROOT / "docs" / "observations.md"
FLOORS = "floors of listener"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

INTRODUCTION = """\
# Observations

What `listener` tells: one line on standard error for each, as text or, with
`logging.format: json`, as a JSON object with `at`, `level`, `event`, `message` (the text) and the
fields of the event. `logging.level` says from which level on. No observation holds a password.

While a failure lasts, a try follows every few seconds. `held` and `waiting` are then written at
once and after pauses that grow to a minute, unless their words change; at `DEBUG` each try is
written.

This page is made from `listener/observations/events.py` by `python -m tests.unit.test_docs_readme`.
"""


def all_observations() -> list[type[Observation]]:
    """In the order of their definition."""
    found = [
        one
        for one in vars(events).values()
        if isinstance(one, type) and issubclass(one, Observation) and one is not Observation
    ]
    return sorted(found, key=lambda one: inspect.getsourcelines(one)[1])


def page() -> str:
    """What docs/observations.md must be."""
    source = inspect.getsource(events).splitlines()
    headings = {
        number: found[1]
        for number, line in enumerate(source)
        if (found := re.fullmatch(r"# -- (.+?) -+", line))
    }
    parts = [INTRODUCTION]
    heading = 0
    for one in all_observations():
        place = max(number for number in headings if number < inspect.getsourcelines(one)[1])
        if place != heading:
            heading = place
            name = headings[place].capitalize()
            parts.append(
                f"\n## {name}\n\n| event | level | what happened | fields |\n|---|---|---|---|\n"
            )
        what = " ".join((one.__doc__ or "").split()).replace("|", "\\|")
        names = ", ".join(f"`{name}`" for name in inspect.get_annotations(one) if name.islower())
        parts.append(f"| `{one.event()}` | {one.LEVEL} | {what} | {names} |\n")
    return "".join(parts)


def with_modules(text: str) -> str:
    """architecture.md with the table of floors, packages and modules that it must have."""
    [contract] = [
        one for one in PROJECT["tool"]["importlinter"]["contracts"] if one["name"] == FLOORS
    ]
    rows = ["| floor | package | module | |\n|---|---|---|---|\n"]
    for place, layer in enumerate(contract["layers"]):
        floor = len(contract["layers"]) - place
        for name in re.findall(r"\w+", layer):
            package = ROOT / "listener" / name
            if package.is_dir():
                rows.append(f"| {floor} | `{name}` | | {_sentence(package / '__init__.py')} |\n")
                rows += [
                    f"| | | `{module.stem}` | {_sentence(module)} |\n"
                    for module in sorted(package.glob("*.py"))
                    if module.stem != "__init__"
                ]
            else:
                told = _sentence(package.with_suffix(".py"))
                rows.append(f"| {floor} | | `{name}` | {told} |\n")
    return re.sub(
        r"(<!-- modules -->\n).*(<!-- end of modules -->)",
        lambda found: f"{found[1]}\n{''.join(rows)}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )


def _sentence(module: Path) -> str:
    """The first sentence of a module's docstring."""
    told = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
    [sentence] = re.findall(r"\A(.*?)(?:\.\s|\.?\Z|\n\n)", told, re.DOTALL)
    return " ".join(sentence.split()).replace("|", "\\|")


def commands(
    one: argparse.ArgumentParser, name: str = "listener"
) -> Iterator[tuple[str, argparse.Action]]:
    """Each action of the command line, with the command that it belongs to."""
    for action in one._actions:
        yield name, action
        if isinstance(action, argparse._SubParsersAction):
            for command, below in action.choices.items():
                yield from commands(below, f"{name} {command}")


def words() -> list[str]:
    """Each command, option and fixed word of the command line."""
    found = []
    for command, action in commands(parser(*cli.COMMANDS)):
        found.append(command)
        found += [option for option in action.option_strings if option.startswith("--")]
        if not isinstance(action, argparse._SubParsersAction):
            found += [str(choice) for choice in action.choices or ()]
    return sorted(set(found))


@pytest.mark.parametrize("word", words())
def test_each_command_and_option_is_documented(word: str) -> None:
    """As code, somewhere in README or docs."""
    code = re.findall(r"`([^`\n]+)`", DOCUMENTS)
    assert any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", one) for one in code)


def test_the_table_of_commands() -> None:
    """What README's table names exists, and each command has a row in it."""
    table = re.findall(r"^\| `(listener[^`]*)`", README, re.MULTILINE)
    known = {part for word in words() for part in word.split()}
    rows = {command.split()[1] for command in table}
    assert rows == {
        name.split()[1] for name, _ in commands(parser(*cli.COMMANDS)) if name.count(" ") == 1
    }
    for command in table:
        assert set(command.split()) <= known, command


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_can_be_used(name: str) -> None:
    """Its module is there, and has what a command must have."""
    module = cli.command(name)
    assert list(inspect.signature(module.arguments).parameters)
    assert len(inspect.signature(module.run).parameters) == 4


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_reads_the_configuration(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever its module is called."""
    needed = {"triggers": ["print"], "preview": ["movies"], "rollback": ["films"]}
    words = ["--config", "/no/such/file.yaml", name, *needed.get(name, [])]
    assert cli.main(words) == 2
    assert "/no/such/file.yaml" in capsys.readouterr().err


def test_a_command_imports_no_other_one() -> None:
    """Nor does what needs none: the version, and the health check that runs each few seconds."""
    told = "import sys; print([one for one in sys.modules if one.startswith('elasticsearch')])"
    code = f"import listener.cli; listener.cli.command('health'); {told}"
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert found == "[]\n"


def test_each_exit_status_is_documented() -> None:
    """README has the statuses of --help, in the same words where it can."""
    [told] = re.findall(r"Exit status:(.*?)\n\n", README, re.DOTALL)
    for status in re.findall(r"(\d+) [a-z]", STATUSES):
        assert re.search(rf"(?<!\d){status} ", told)


def test_each_make_target_of_the_readme_exists() -> None:
    """And `make help` lists them."""
    told = subprocess.run(
        ["make", "help"], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout
    targets = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"help"}
    assert {"demo", "test", "compose-test"} <= targets
    for target in targets:
        assert re.search(rf"^ +make {target} ", told, re.MULTILINE)
    [phony] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"^ +make ([a-z-]+) ", told, re.MULTILINE)) == sorted(phony.split())
    assert max(map(len, told.splitlines())) <= 100


def test_each_link_leads_somewhere() -> None:
    """Relative links of the pages at the top, and of docs."""
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def _anchors(path: Path) -> set[str]:
    """What links may name behind `#`: the headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_each_anchor_is_a_heading() -> None:
    """Of the page itself, or of the one that is linked."""
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text("utf-8")):
            page = path.parent / link if link else path
            assert anchor in _anchors(page), f"{path.name}: {link}#{anchor}"


def test_each_module_of_a_way_is_there() -> None:
    """Modules that the prose of architecture.md follows a change, an option and a load through."""
    prose = ARCHITECTURE.partition("<!-- modules -->")[0]
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", prose))
    assert len(named) > 25
    assert [one for one in named if not (ROOT / "listener" / one).is_file()] == []
    sentences = re.findall(r"^\| `(\w+)` \| [A-Z].+\. \|$", prose, re.MULTILINE)
    [layers] = [
        one["layers"]
        for one in PROJECT["tool"]["importlinter"]["contracts"]
        if one["name"] == FLOORS
    ]
    assert set(sentences) == {one for layer in layers for one in re.findall(r"\w+", layer)}


def test_there_is_one_picture() -> None:
    """README and architecture.md show the same."""
    pictures = [
        re.findall(r"```text\n(.*?)```", text, re.DOTALL) for text in (README, ARCHITECTURE)
    ]
    assert pictures[0] == pictures[1]
    [picture] = pictures[0]
    assert max(map(len, picture.splitlines())) <= 80


def test_each_observation_is_documented() -> None:
    """The page is up to date; `python -m tests.unit.test_docs_readme` makes it so."""
    assert page().splitlines() == OBSERVATIONS.read_text("utf-8").splitlines()


@pytest.mark.parametrize("one", all_observations(), ids=lambda one: one.event())
def test_each_observation_can_be_told(one: type[Observation]) -> None:
    """Its text names fields that it has."""
    named = {name for _, name, _, _ in string.Formatter().parse(one.TEXT) if name}
    names = {re.split(r"[.\[]", name)[0] for name in named}
    assert names <= {field.name for field in fields(one)}


def test_architecture_has_the_layers_that_are_checked() -> None:
    """The table is up to date; `python -m tests.unit.test_docs_readme` makes it so."""
    assert with_modules(ARCHITECTURE).splitlines() == ARCHITECTURE.splitlines()


def pins() -> dict[str, tuple[str, int]]:
    """requirements.txt: version and number of hashes by package."""
    text = (ROOT / "requirements.txt").read_text("utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==(\S+) .*", line).groups()  # type: ignore[union-attr]
            found[name.lower().replace("_", "-")] = (version, line.count("--hash=sha256:"))
    return found


def test_requirements_satisfy_the_project() -> None:
    """Each dependency is pinned in its range, with hashes; `make requirements` makes it so."""
    pinned = pins()
    assert all(hashes for _, hashes in pinned.values())
    for line in PROJECT["project"]["dependencies"]:
        wanted = Requirement(line)
        version, _ = pinned[wanted.name.lower().replace("_", "-")]
        assert version in wanted.specifier, f"{wanted} is pinned to {version}"


def test_there_is_one_version() -> None:
    """Of the package and of the program."""
    assert PROJECT["project"]["version"] == __version__


def test_requirements_name_no_machine() -> None:
    """No index, no path: they serve everywhere."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    assert "make requirements" in text
    assert not re.search(
        r"https?://|--(?:index-url|find-links|trusted-host|cert)|/(?:root|home|opt)/", text
    )


if __name__ == "__main__":
    OBSERVATIONS.write_text(page(), "utf-8")
    (ROOT / "docs" / "architecture.md").write_text(with_modules(ARCHITECTURE), "utf-8")
