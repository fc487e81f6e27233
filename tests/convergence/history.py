"""The history of an example: what was done, to be read, and to be done again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from playground.daemon import PROJECT
from tests.convergence.world import Step
from tests.kit.writes.statements import Statement
from tests.kit.writes.vocabulary import VOCABULARY

FOLDER: Final = PROJECT / ".playground" / "convergence"
_SHOWN: Final = 160
_MOST: Final = 3
"""Statements of one write that are shown."""


class History:
    """Steps in a JSON file, written before each is done: it is there whatever happens."""

    def __init__(self, path: Path, scenario: Step) -> None:
        """`scenario`: what the world was made of."""
        self.path = path
        self.scenario = scenario
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        """The next one."""
        self.steps.append(step)
        self._save()

    def fail(self, error: BaseException) -> str:
        """Keep what went wrong; the text that tells of it."""
        told = f"{type(error).__name__}: {error}"
        self._save(error=told)
        short = told if len(told) < 6000 else f"{told[:3000]}\n[...]\n{told[-3000:]}"
        return (
            f"{short}\n\nthe steps ({self.scenario}):\n"
            + "\n".join(self.lines())
            + f"\n\nall of it: {self.path}\n"
            f"again: python -m tests.convergence replay {self.path}"
        )

    def lines(self) -> Iterator[str]:
        """One for each step, statements below."""
        for number, step in enumerate(self.steps, 1):
            rest = {name: value for name, value in step.items() if name not in ("do", "writes")}
            values = " ".join(f"{name}={value}" for name, value in rest.items())
            yield f"{number:3} {step['do']} {values}"
            for name, seed, saved in step.get("writes", ()):
                yield f"      {name}, seed {seed}" + ("" if saved == "plain" else f" ({saved})")
                kind = VOCABULARY[self.scenario["kind"]]
                statements = kind[name].make(random.Random(seed), step["slice"])
                for statement in statements[:_MOST]:
                    yield f"        {_short(statement)}"
                if len(statements) > _MOST:
                    yield f"        ... and {len(statements) - _MOST} more"

    def _save(self, **more: Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"scenario": self.scenario, "steps": self.steps, **more}
        self.path.write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")


def _short(statement: Statement) -> str:
    text = " ".join(str(statement).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
