"""`python -m benchmarks`: what it takes, and what it says when that is wrong. No server starts."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="only the benchmark draws")

from benchmarks.__main__ import OutputError, _alone, main
from benchmarks.scenarios import SCENARIOS

PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text("utf-8")


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Exit status and what was printed, of arguments that start nothing."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    printed = capsys.readouterr()
    return end.value.code, printed.out + printed.err


def test_help_names_options_statuses_and_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    """Each scenario with its title."""
    status, text = ended(capsys, "--help")
    assert status == 0
    assert {"--quick", "--rounds", "--output"} <= set(re.findall(r"--[a-z]+", text))
    assert "exit status" in text
    for one in SCENARIOS.values():
        assert re.search(rf"^ +{one.name} +{one.title}$", text, re.MULTILINE)


def test_an_unknown_scenario_is_refused_with_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Also beside one that exists; before any server is started."""
    status, text = ended(capsys, "load", "lod")
    assert status == 2
    assert f"no scenario 'lod': there are {', '.join(SCENARIOS)}" in text


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_rounds_are_at_least_one(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Else there would be no figure."""
    status, text = ended(capsys, "--rounds", rounds, "load")
    assert status == 2
    assert "--rounds" in text


def test_each_scenario_has_a_section_in_the_documentation() -> None:
    """And no section is of one that is gone."""
    assert re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE) == list(SCENARIOS)


def test_each_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """As code."""
    _, text = ended(capsys, "--help")
    for option in set(re.findall(r"--[a-z]+", text)) - {"--help"}:
        assert re.search(rf"`[^`\n]*{option}[^`\n]*`", PAGE), option


def test_an_output_that_cannot_be_kept_is_refused_at_once(tmp_path: Path) -> None:
    """Before any server is started: an hour later the results would be lost."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file.*--output"):
        main(["idle", "--output", str(tmp_path / "file" / "below")])
    (tmp_path / "results.json").write_text('{"idle": ', "utf-8")
    with pytest.raises(OutputError, match=r"results\.json is no JSON"):
        main(["idle", "--output", str(tmp_path)])
    (tmp_path / "results.json").write_text("[]", "utf-8")
    with pytest.raises(OutputError, match=r"results\.json is not of this program"):
        main(["idle", "--output", str(tmp_path)])
    (tmp_path / "results.json").write_text('{"idle": 5}', "utf-8")
    with pytest.raises(OutputError, match=r"results\.json: 'idle' is no result of this version"):
        main(["load", "--output", str(tmp_path)])


def test_two_benchmarks_do_not_write_to_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that comes second would drop what the first has written, and disturbs it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _alone(tmp_path / "one"):
        with pytest.raises(OutputError, match="another benchmark writes to"):
            main(["load", "--output", str(tmp_path / "one")])
        with _alone(tmp_path / "two"):
            pass
    with _alone(tmp_path / "one"):
        pass
