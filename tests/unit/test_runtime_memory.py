"""Freed memory goes back to the system, where the C library can do that."""

from __future__ import annotations

import ctypes
import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

from listener.runtime import memory


def memory_with(library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as it is imported where this is the C library."""
    spec = importlib.util.find_spec(memory.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    spec.loader.exec_module(module)
    return module


def test_giving_back_is_harmless() -> None:
    """With the C library of this machine."""
    memory.give_back()


def test_the_c_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """glibc: once for each call, to keep nothing in reserve."""
    kept: list[int] = []
    module = memory_with(SimpleNamespace(malloc_trim=kept.append), monkeypatch)
    module.give_back()
    assert kept == [0]


def test_a_c_library_without_such_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl, macOS: nothing is given back, and nothing fails."""
    memory_with(SimpleNamespace(), monkeypatch).give_back()
