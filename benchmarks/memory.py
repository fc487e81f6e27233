from benchmarks.results import Result
from benchmarks.stage import Stage
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run(stage: Stage) -> Result:
    raise NotImplementedError


def plot(result: Mapping[str, Any], path: Path) -> None:
    raise NotImplementedError
