"""The Markdown page of the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.results import Figure


def line(figure: Figure) -> str:
    """One figure, for a terminal."""
    text = f"{figure.name}: {figure.value:.3g} {figure.unit}"
    if figure.ratio is not None:
        text += f", {figure.ratio:.2f}x floor"
    if figure.met is not None:
        text += ", goal reached" if figure.met else ", goal MISSED"
    return text


def markdown(results: Mapping[str, Any]) -> str:
    """The page."""
    raise NotImplementedError
