"""The state file: how far this pipeline has come, in which history; and the heartbeat beside it.

The state is small and precious: it is replaced as a whole, by a rename, so that a process killed
at any point leaves the old file or the new one. The heartbeat is worth nothing after a minute and
is written without waiting for the disk.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from listener.observations.printable import shown

VERSION: Final = 1
_DAY: Final = timedelta(days=1)

_PROCESS: Final = secrets.token_hex(4)
"""Not the process id: in a container that is 1 before and after every crash."""
_NUMBERS: Final = itertools.count()

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


class StateError(Exception):
    """The state file cannot be used or written. The message says what, where and the way out."""


def _moment(value: Any, info: ValidationInfo) -> Any:
    """Only what YAML itself reads as a timestamp, or such a text in JSON: pydantic would take 17
    for seconds of 1970."""
    if info.mode == "json" and isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = "no timestamp"
    if value is None:
        return None
    if isinstance(value, datetime):
        try:
            _ = value.astimezone(UTC) - _DAY, value.astimezone(UTC) + _DAY
        except OverflowError:
            raise ValueError("no clock shows it, and it cannot be reckoned with") from None
        return value
    raise ValueError("it is no timestamp such as 2026-01-31T10:00:00.000000+00:00")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


Lsn = Annotated[str, Field(pattern=r"\A[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}\z")]


class _Record(BaseModel):
    """A field that is added later has a default, which means that nothing is known of it: files
    of former releases lack it, and an older release that was at work leaves it out (`from_json`).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Mark(_Record):
    """What an index was at the last look at it: by this it shows where it went back since.

    `shards` gives a note of each shard (see `shards`), `mapping` a hash of mapping and settings.
    Every change stamped before `settled` was in it at that look; None: none for certain. `after`
    and `documents`: how far the load into it had come.
    """

    shards: Mapping[str, str] = {}
    mapping: str = ""
    settled: AwareDatetime | None = None
    after: tuple[str, ...] | None = None
    documents: int = 0


class Identity(_Record):
    """Which history the watermark belongs to: of the database, of the indexes, of the config.

    `tables` gives the OID of each watched table, `indexes` the UUID of the index behind each
    alias; `triggers` is a hash of all that records changes in the database; `nonce` is the value
    that this pipeline last left in its own schema; `ahead` says by how many seconds the database's
    clock was ahead of ours. `meanings` says, by alias, what the queries depend on besides rows, and
    a hash of its state; without an entry nobody looked yet. `marks` gives by its own name what each
    index was at the last look; `control` the sequence number of the control document, which only
    rises. `db_schema` is our schema in the database; None: a former release did not say.
    """

    pipeline: str
    system_identifier: str
    timeline: int
    database_oid: int
    wal_lsn: Lsn
    nonce: str
    config_hash: str
    tables: Mapping[str, int]
    indexes: Mapping[str, str]
    triggers: str = ""
    ahead: float | None = None
    meanings: Mapping[str, Mapping[str, str]] = {}
    marks: Mapping[str, Mark] = {}
    control: int | None = None
    db_schema: str | None = None


class Load(_Record):
    """A full load of one document kind into a new index: where it stands.

    `after` is the key of the last page that Elasticsearch acknowledged; None before the first.
    """

    index: str
    physical: str
    started_at: Moment
    after: tuple[str, ...] | None = None
    documents: int = 0
    done: bool = False


class State(_Record):
    """The whole file. `last_processed` is None while the first load runs.

    `loaded`: by alias, the proven start of the last complete load or comparison: what was recorded
    before it (a TRUNCATE, say) is covered by that. `reconcile`: aliases whose index must be
    compared with the database before the watermark moves on, and whether any number of documents
    may be deleted then.
    """

    last_processed: Moment | None
    identity: Identity
    loads: tuple[Load, ...] = ()
    loaded: Mapping[str, Moment] = {}
    reconcile: Mapping[str, bool] = {}
    version: Literal[1] = VERSION


class Heartbeat(_Record):
    """A sign of life. `at` is this machine's clock, in seconds since 1970.

    `state` is a word or two for people (serving, loading, waiting for PostgreSQL), `reason` why
    it is not serving. What a newer release adds to it is no matter here.
    """

    model_config = ConfigDict(extra="ignore")

    at: float
    fetch_delay: float
    state: str
    last_processed: Moment | None = None
    reason: str | None = None


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
            f"{path} has version {version!r} and this listener reads version {VERSION}: run the "
            "listener that wrote it."
            if isinstance(version, int) and version > VERSION
            else f"{path} is damaged: its last line is not `version: {VERSION}`. {_WAY_OUT}"
        )
    try:
        return State.model_validate(value)
    except ValidationError as error:
        raise StateError(f"{path} is damaged: {_wrong(error)}. {_WAY_OUT}") from None


def from_json(fields: Mapping[str, Any]) -> State:
    """The state as the control document has it, read with tolerance: what a newer release has
    added is left out, and so is not written again. That release finds it missing and knows that
    an older one was at work; kept, it would speak of a time when nobody looked after it.

    Raises ValueError, with what is wrong in a few words.
    """
    version = fields.get("version")
    if version != VERSION or isinstance(version, bool):
        newer = isinstance(version, int) and version > VERSION
        raise ValueError(
            f"it has version {version} and this listener reads version {VERSION}"
            if newer
            else f"its version is not {VERSION}"
        )
    known = _known(State, fields)
    known["identity"] = identity = _known(Identity, known.get("identity"))
    if isinstance(identity, dict) and isinstance(marks := identity.get("marks"), Mapping):
        identity["marks"] = {name: _known(Mark, one) for name, one in marks.items()}
    loads = known.get("loads")
    if isinstance(loads, list):
        known["loads"] = [_known(Load, one) for one in loads]
    try:
        return State.model_validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        raise ValueError(_wrong(error)) from None


def _known(model: type[_Record], value: Any) -> Any:
    """A record without the fields that this release does not have."""
    if not isinstance(value, Mapping):
        return value
    return {name: inner for name, inner in value.items() if name in model.model_fields}


def _wrong(error: ValidationError) -> str:
    """The first thing that is wrong: its place, and what it should be."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = shown(".".join(str(part) for part in first["loc"])[:200])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "timezone_aware":
        reason = "the timestamp has no offset; +00:00 is UTC"
    if first["type"] == "extra_forbidden":
        reason += " (a newer listener has written it, or it is misspelt)"
    return f"{place}: {reason}"


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
    _replace(path, _COMMENT + body, durable=True)


def heartbeat_path(path: Path) -> Path:
    """The heartbeat's file beside the state file `path`."""
    return path.with_name(path.name + ".heartbeat")


def write_heartbeat(path: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat beside the state file `path`. Raises StateError as `write` does."""
    _replace(heartbeat_path(path), heartbeat.model_dump_json() + "\n", durable=False)


def beat(
    path: Path,
    *,
    fetch_delay: float,
    what: str,
    last_processed: datetime | None = None,
    reason: str | None = None,
) -> None:
    """Write a heartbeat of now; a disk that cannot be written to is told when the state is."""
    with contextlib.suppress(StateError):
        write_heartbeat(
            path,
            Heartbeat(
                at=time.time(),
                fetch_delay=fetch_delay,
                state=what,
                last_processed=last_processed,
                reason=reason,
            ),
        )


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The heartbeat beside the state file `path`; None where there is none that can be read."""
    try:
        return Heartbeat.model_validate_json(heartbeat_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _replace(path: Path, text: str, *, durable: bool) -> None:
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
        if process != _PROCESS:  # ours may be a write of another thread, under way
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
