"""The records of the state: how far a pipeline has come, and in which history. Pure values.

A field that is added later has a default, which means that nothing is known of it: files of former
releases lack it, and an older release that was at work leaves it out (`from_json`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
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
_BARRED: Final = r"""\\/*?"<>|,#:\sA-Z\x00-\x1f"""
_NAME: Final = re.compile(rf"\.?[^._+\-{_BARRED}][^{_BARRED}]*")


def _name(value: str) -> str:
    if len(value.encode()) > 255 or not _NAME.fullmatch(value):
        raise ValueError("no index can have this name")
    return value


Name = Annotated[str, AfterValidator(_name)]
"""Of an index or alias: any that a server takes, for an operator may have restored an index of
listener's under another one. Nothing that a path or a pattern could be misread for."""
ShardNumber = Annotated[str, Field(pattern=r"\A[0-9]{1,5}\z")]
Note = Annotated[str, Field(pattern=r"\A\S{1,255} \S{1,255} -?[0-9]{1,19}\z")]
"""What is written down of a shard; see search.shards."""
Reason = Annotated[str, Field(max_length=2000)]
"""A reason that is told to people."""
Count = Annotated[int, Field(ge=0, le=2**62)]
Seconds = Annotated[float, Field(ge=-1e12, le=1e12)]


class Record(BaseModel):
    """What is written as a whole, and read strictly: an unknown field is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Mark(Record):
    """What an index was at the last look at it: by this it shows where it went back since.

    `shards` gives a note of each shard (see `shards`), `mapping` a hash of mapping and settings.
    Every change stamped before `settled` was in it at that look; None: none for certain. `after`
    and `documents`: how far the load into it had come.
    """

    shards: Mapping[ShardNumber, Note] = {}
    mapping: str = ""
    settled: Moment | None = None
    after: tuple[str, ...] | None = None
    documents: Count = 0


class Identity(Record):
    """Which history the watermark belongs to: of the database, of the indexes, of the config.

    `tables` gives the OID of each watched table, `indexes` the UUID of the index behind each
    alias; `triggers` is a hash of all that records changes in the database; `nonce` is the value
    that this pipeline last left in its own schema; `ahead` says by how many seconds the database's
    clock was ahead of ours. `config_hash` joins the hashes of the document kinds that the last
    session fed. `meanings` says, by alias, what the queries depend on besides rows, and a hash of
    its state; without an entry it was not looked at yet. `marks` gives by its own name what each
    index was at the last look; `control` the sequence number of the control document, which only
    rises. `db_schema` is our schema in the database; None: a former release did not say. `renewals`
    is the nonce's number in `line`, its line of renewals; None: it was not counted.
    """

    pipeline: str
    system_identifier: str
    timeline: Count
    database_oid: Count
    wal_lsn: Lsn
    nonce: str
    config_hash: str
    tables: Mapping[str, Count]
    indexes: Mapping[Name, str]
    triggers: str = ""
    ahead: Seconds | None = None
    meanings: Mapping[Name, Mapping[str, str]] = {}
    marks: Mapping[Name, Mark] = {}
    control: Count | None = None
    db_schema: str | None = None
    line: str | None = None
    renewals: Count | None = None

    @property
    def fed(self) -> frozenset[str]:
        """The hashes of the document kinds that the last session fed."""
        return frozenset(self.config_hash.split("-"))

    def left(self, nonce: str | None) -> bool:
        """Whether this nonce is one that the pipeline left: two while one replaces the other."""
        return nonce in self.nonce.split()


class Load(Record):
    """A full load of one document kind into a new index: where it stands.

    `after` is the key of the last page that Elasticsearch acknowledged; None before the first.
    `documents`: how many ids were read up to there; `written`: how many documents were written.
    `untaken`: documents that its index does not take, beyond those that may be parked. `missed`: it
    waited for a person's word while changes may have been missed, so a comparison follows its swap.
    """

    index: Name
    physical: Name
    started_at: Moment
    after: tuple[str, ...] | None = None
    documents: Count = 0
    done: bool = False
    written: Count = 0
    untaken: Count = 0
    missed: bool = False


class Refusal(Record):
    """A load that is complete, and that people do not search: it waits for a person's word.

    `physical`: its index. `reason`: why, with the command that allows it.
    """

    physical: Name
    reason: str


class Kept(Record):
    """The former index of an alias, which is fed until its time is over. `uuid`: of the index.
    `since`: when it was in use last. Both moments are of the database server's clock."""

    physical: Name
    uuid: str
    since: Moment
    until: Moment

    def back(self, by: timedelta) -> Kept:
        """The same, after that clock went back by so much."""
        return self.model_copy(update={"since": self.since - by, "until": self.until - by})


class RolledBackFiles(Record):
    """A person went back to the former index. `hash`: of the definition that the files gave then,
    which is not loaded again before they change. `since`: when that was."""

    hash: Annotated[str, Field(max_length=64)]
    since: Moment

    def back(self, by: timedelta) -> RolledBackFiles:
        """As of Kept."""
        return self.model_copy(update={"since": self.since - by})


class State(Record):
    """The whole file. `last_processed` is None while the first load runs.

    `loaded`: by alias, the proven start of the last complete load or comparison: what was recorded
    before it (a TRUNCATE, say) is covered by that. `reconcile`: aliases whose index must be
    compared with the database before the watermark moves on, and whether any number of documents
    may be deleted then. `refused`: by alias, the load that waits for a person's word. `kept`: by
    alias, the former index that is fed. `unkept`: why there is none any more. `rolled_back`: by
    alias, which files are not in force.
    """

    last_processed: Moment | None
    identity: Identity
    loads: tuple[Load, ...] = ()
    loaded: Mapping[Name, Moment] = {}
    reconcile: Mapping[Name, bool] = {}
    refused: Mapping[Name, Refusal] = {}
    kept: Mapping[Name, Kept] = {}
    unkept: Mapping[Name, Reason] = {}
    rolled_back: Mapping[Name, RolledBackFiles] = {}
    version: Literal[1] = VERSION

    def back(self, by: timedelta) -> State:
        """The same, after the server's clock went back by so much: each moment is so much earlier.
        The identity knows that step: a session need not find it and compare everything."""
        known = self.identity
        marks = {
            name: mark.model_copy(update={"settled": mark.settled and mark.settled - by})
            for name, mark in known.marks.items()
        }
        ahead = None if known.ahead is None else known.ahead - by.total_seconds()
        loads = (
            load.model_copy(update={"started_at": load.started_at - by}) for load in self.loads
        )
        return self.model_copy(
            update={
                "identity": known.model_copy(update={"ahead": ahead, "marks": marks}),
                "last_processed": self.last_processed and self.last_processed - by,
                "loads": tuple(loads),
                "loaded": {name: at - by for name, at in self.loaded.items()},
                "kept": {name: one.back(by) for name, one in self.kept.items()},
                "rolled_back": {name: one.back(by) for name, one in self.rolled_back.items()},
            }
        )


def from_json(fields: Mapping[str, Any]) -> State:
    """The state as the control document has it, read with tolerance: what a newer release has
    added is left out, and so is not written again. That release finds it missing and knows that
    an older one was at work; kept, it would speak of a time when no release kept it true.

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
    for name, model in (("refused", Refusal), ("kept", Kept), ("rolled_back", RolledBackFiles)):
        if isinstance(found := known.get(name), Mapping):
            known[name] = {alias: _known(model, one) for alias, one in found.items()}
    try:
        return State.model_validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        raise ValueError(wrong(error)) from None


def _known(model: type[Record], value: Any) -> Any:
    """A record without the fields that this release does not have."""
    if not isinstance(value, Mapping):
        return value
    return {name: inner for name, inner in value.items() if name in model.model_fields}


def wrong(error: ValidationError) -> str:
    """The first thing that is wrong with a record: its place, and what it should be."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = shown(".".join(str(part) for part in first["loc"])[:200])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "timezone_aware":
        reason = "the timestamp has no offset; +00:00 is UTC"
    if first["type"] == "extra_forbidden":
        reason += " (a newer listener has written it, or it is misspelt)"
    return f"{place}: {reason}"
