"""The state file: state.yaml, read and replaced as a whole.

The state is small and precious. It is replaced by a rename, so that a process killed at any point
leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from listener import ListenerError
from listener.state.model import VERSION, State, wrong

_PROCESS: Final = secrets.token_hex(4)
"""Not the process id: in a container that is 1 before and after every crash."""
_NUMBERS: Final = itertools.count()
_LAST_VERSION: Final = 10_000
"""A number from here on is no version, but damage."""

_COMMENT: Final = """\
# The state of `listener`. It is written by the running process; stop that before you edit.
# last_processed is the watermark: every change of the watched tables that was stamped before this
# moment (by the database server's clock) is in Elasticsearch. Empty until the first load is done.
# An older value is always safe: what changed since then is read once more.
"""
_WAY_OUT: Final = (
    "Put back a copy of it, or move it away: without the file listener takes the watermark from "
    "its control document in Elasticsearch, and where there is none makes a full load."
)


class StateError(ListenerError):
    """The state file cannot be used or written. The message says what, where and the way out."""


def read(path: Path) -> State | None:
    """The state, or None where there is no file (a first start).

    Raises StateError for everything else: a file that is there but cannot be understood must
    never look like a first start.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if path.is_symlink():
            raise StateError(
                f"{path} is a link to {path.readlink()}, which is not there: is its volume mounted?"
            ) from None
        return None
    except IsADirectoryError:
        raise StateError(
            f"{path} is a folder: give state_file_name a file inside of it (Docker makes a folder "
            "where a file is mounted that does not exist)"
        ) from None
    except UnicodeDecodeError:
        raise StateError(f"{path} is damaged: it is not UTF-8. {_WAY_OUT}") from None
    except OSError as error:
        raise StateError(
            f"cannot read {path}: {error.strerror}. It must be readable by the user that listener "
            f"runs as (uid {os.geteuid()})."
        ) from error
    return _parse(text, path)


def _parse(text: str, path: Path) -> State:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise StateError(f"{path} is damaged: it is not YAML{where}. {_WAY_OUT}") from None
    if value is None:
        raise StateError(f"{path} is empty. {_WAY_OUT}")
    if not isinstance(value, dict):
        raise StateError(f"{path} is damaged: it is not a state of listener. {_WAY_OUT}")
    version = value.get("version")
    if version != VERSION or isinstance(version, bool):
        raise StateError(
            f"{path} has version {version} and this listener reads version {VERSION}: run the "
            "listener that wrote it."
            if isinstance(version, int) and VERSION < version < _LAST_VERSION
            else f"{path} is damaged: its last line is not `version: {VERSION}`. {_WAY_OUT}"
        )
    try:
        return State.model_validate(value)
    except ValidationError as error:
        raise StateError(f"{path} is damaged: {wrong(error)}. {_WAY_OUT}") from None


# libyaml's emitter, where PyYAML has it: the file is written each second
_Base = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper


class _Dumper(_Base):  # type: ignore[misc, valid-type]
    """Writes moments in UTC, with all six digits, in the form of RFC 3339."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - an anchor is no help to people
        return True


def _dump_moment(dumper: yaml.SafeDumper, value: datetime) -> yaml.Node:
    text = value.astimezone(UTC).isoformat(timespec="microseconds")
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", text)


_Dumper.add_representer(datetime, _dump_moment)


def write(path: Path, state: State) -> None:
    """Replace the state file, durably and at once.

    Raises StateError where the disk or the rights do not allow it; the old file is then intact.
    """
    record = state.model_dump()
    loads = [{**one, "after": one["after"] and list(one["after"])} for one in record["loads"]]
    # The version stays in the last line: without it a file is not whole.
    fields = {**record, "loads": loads, "version": record["version"]}
    # Escaped throughout: PyYAML folds a bare U+0085 or U+2028 of a key into a space on reading.
    body = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=False)
    replace(path, _COMMENT + body, durable=True)


def replace(path: Path, text: str, *, durable: bool) -> None:
    """Replace a file as a whole; `durable`: wait until the disk has it. Raises StateError, and the
    old file is then intact.
    """
    # A link stays a link: what it points to is replaced.
    path = path.resolve()
    # A name of our own for each write: were it shared, another process that is just ending could
    # rename our half-written file.
    temporary = path.with_name(f".{path.name}.{_PROCESS}-{next(_NUMBERS)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "no number")
        raise StateError(
            f"cannot write {path}: {error.strerror or error} ({name}). The folder must have room "
            f"and be writable by the user that listener runs as (uid {os.geteuid()})."
        ) from error


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed within a write left behind."""
    pattern = re.compile(re.escape(f".{path.name}.") + r"([0-9a-f]{8})-[0-9]+\.tmp")
    with os.scandir(path.parent) as entries:
        found = [(match[1], entry) for entry in entries if (match := pattern.fullmatch(entry.name))]
    for process, entry in found:
        if process != _PROCESS:  # this process's may be a write of another thread, under way
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
