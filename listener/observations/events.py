"""What happened: the one typed list of moments worth telling.

Log lines, metrics and the waits of tests all come from these values; nothing else writes to the
log. Each class is one observation: its snake_case name is the event's name, its fields are the
event's fields, and `TEXT` with the fields filled in is the sentence that people read.

The module is long because it is a list, and it is one list so that everything that may be told can
be read in one place: docs/observations.md is made from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class ServerName(StrEnum):
    """The two servers, as people read their names."""

    POSTGRES = "PostgreSQL"
    ELASTICSEARCH = "Elasticsearch"


@dataclass(frozen=True, slots=True)
class Observation:
    """Base of all observations."""

    LEVEL: ClassVar[Level] = "INFO"
    TEXT: ClassVar[str] = ""

    @classmethod
    def event(cls) -> str:
        """Name of the event: the class's name in snake_case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def values(self) -> dict[str, Any]:
        """The fields, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def sentence(self) -> str:
        """What people read."""
        return self.TEXT.format(**self.values())


class Observe(Protocol):
    """Takes an observation. Never raises; safe from any thread."""

    def __call__(self, observation: Observation, /) -> None:
        """Tell it."""


# -- connections ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started(Observation):
    """The process begins its work."""

    version: str
    pipeline: str
    mode: str
    TEXT: ClassVar[str] = "listener {version}: pipeline {pipeline}, {mode}"


@dataclass(frozen=True, slots=True)
class Listening(Observation):
    """The LISTEN connection is up and holds the lock: notifications arrive from here on."""

    channel: str
    server: str
    session: int
    TEXT: ClassVar[str] = "listening on {channel} ({server}, connection {session})"


@dataclass(frozen=True, slots=True)
class ConnectionLost(Observation):
    """A connection to PostgreSQL broke; it is made again."""

    role: str
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "connection lost ({role}): {reason}"


@dataclass(frozen=True, slots=True)
class ConnectionDead(Observation):
    """A connection that was open but silent was cut; its work is repeated on a new one."""

    role: str
    seconds: float
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "{role}: no answer for {seconds:.0f} s and the server is not at work: cut"


@dataclass(frozen=True, slots=True)
class Waiting(Observation):
    """A server did not answer as it should; the next try follows after a wait."""

    server: ServerName
    attempt: int
    seconds: float
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "{server}: {reason}; try {attempt} failed, the next in {seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Held(Observation):
    """Something that is not one document's fault stops the pipeline; nothing is skipped."""

    reason: str
    seconds: float
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "held, the watermark too: {reason}; next try in {seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Recovered(Observation):
    """After waits, the server took a request again."""

    server: ServerName
    seconds: float
    TEXT: ClassVar[str] = "{server}: going on after {seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class StandingBy(Observation):
    """Another daemon of this pipeline is active; this one takes over when it is gone."""

    pid: int
    TEXT: ClassVar[str] = "standing by: the active daemon is PostgreSQL process {pid}"


@dataclass(frozen=True, slots=True)
class SilentHolderEnded(Observation):
    """The active daemon was frozen, or its network silent: its session was ended to take over."""

    pid: int
    seconds: float
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "the active daemon (PostgreSQL process {pid}) gave no sign of life for {seconds:.0f} s: "
        "its session was ended"
    )


# -- the flow of changes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Indexed(Observation):
    """One bulk was answered: documents written and deleted, and those to be tried again."""

    index: str
    written: int
    deleted: int
    retried: int
    bytes: int
    seconds: float
    refreshed: bool
    LEVEL: ClassVar[Level] = "DEBUG"
    TEXT: ClassVar[str] = (
        "{index}: {written} indexed, {deleted} deleted, {retried} to try again, {seconds:.3f} s"
    )


@dataclass(frozen=True, slots=True)
class Refreshed(Observation):
    """A refresh of its own made the last bulks searchable."""

    seconds: float
    LEVEL: ClassVar[Level] = "DEBUG"
    TEXT: ClassVar[str] = "refreshed in {seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class Parked(Observation):
    """A document was put aside; it is tried again when it changes."""

    index: str
    id: str
    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "{index}: parked {id}: {reason}"


@dataclass(frozen=True, slots=True)
class ParkedAlike(Observation):
    """More documents were put aside for one cause: so many since the last line of it, the first
    ids, and the reason of the first one. `listener parked` lists them all."""

    index: str
    count: int
    ids: str
    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "{index}: parked {count} more for one cause, first {ids}: {reason}"


@dataclass(frozen=True, slots=True)
class MappingFailed(Observation):
    """A mapping file failed on the keys of some rows: which documents they concern is not known, so
    all of this index are compared."""

    index: str
    watch: str
    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = (
        "{index}: mapping_file of {watch} failed on a key, comparing all: {reason}"
    )


@dataclass(frozen=True, slots=True)
class BadPayload(Observation):
    """A notification on our channel that is not ours was ignored."""

    reason: str
    count: int
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "ignored a notification: {reason} ({count} so far)"


@dataclass(frozen=True, slots=True)
class Overflowed(Observation):
    """More changes than fit in memory: dropped, since a sweep from the watermark brings them."""

    limit: int
    count: int
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "more than {limit} changes pending: dropped, sweeping instead ({count} times so far)"
    )


@dataclass(frozen=True, slots=True)
class Swept(Observation):
    """A poll of one table (or of the journal) found rows that no notification had brought."""

    table: str
    rows: int
    seconds: float
    TEXT: ClassVar[str] = "swept {table}: {rows} rows in {seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class CaughtUp(Observation):
    """The sweep after a (re)connect is in Elasticsearch: from here on notifications lead."""

    rows: int
    seconds: float
    last_processed: datetime | None
    TEXT: ClassVar[str] = "caught up: {rows} rows in {seconds:.2f} s, watermark {last_processed}"


@dataclass(frozen=True, slots=True)
class WatermarkHeld(Observation):
    """An open transaction keeps the watermark back; documents are indexed all the same."""

    holder: str
    seconds: float
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "the watermark waits since {seconds:.0f} s for {holder}"


@dataclass(frozen=True, slots=True)
class WatermarkMoved(Observation):
    """The watermark advanced; `way` is barrier or scan."""

    last_processed: datetime
    way: str
    LEVEL: ClassVar[Level] = "DEBUG"
    TEXT: ClassVar[str] = "watermark {last_processed} ({way})"


@dataclass(frozen=True, slots=True)
class WatermarkWaits(Observation):
    """All up to this moment is indexed, but for a load or comparison that the watermark waits
    for; `way` is barrier or scan."""

    proven: datetime
    way: str
    LEVEL: ClassVar[Level] = "DEBUG"
    TEXT: ClassVar[str] = "proven up to {proven} ({way}); the watermark waits for a load"


@dataclass(frozen=True, slots=True)
class ClockSteppedBack(Observation):
    """The database server's clock went back; the watermark goes back with it."""

    seconds: float
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "the server's clock went back by {seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class NotifyQueueFills(Observation):
    """PostgreSQL's queue of NOTIFY is not emptied; from half full on, our triggers send none."""

    percent: float
    holder: str
    command: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "the server's queue of notifications is {percent:.0f} % full; at 100 % every COMMIT with a "
        "NOTIFY fails. Somebody LISTENs and does not read, most likely {holder}: {command}"
    )


@dataclass(frozen=True, slots=True)
class NotifyQueueDrained(Observation):
    """The queue of NOTIFY is emptied again."""

    percent: float
    TEXT: ClassVar[str] = "the server's queue of notifications is {percent:.0f} % full again"


# -- loads and indexes ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadStarted(Observation):
    """A full load into a new index begins, or goes on after `documents`."""

    index: str
    physical: str
    reason: str
    documents: int
    TEXT: ClassVar[str] = (
        "{index}: full load into {physical} ({reason}), from {documents} documents"
    )


@dataclass(frozen=True, slots=True)
class LoadProgress(Observation):
    """A page of a full load is in Elasticsearch: of the ids that were read (`documents`), so many
    documents were written, and so many are parked; `total` is the planner's estimate."""

    index: str
    documents: int
    total: int
    seconds: float
    written: int
    parked: int
    TEXT: ClassVar[str] = (
        "{index}: loaded {documents} of about {total} in {seconds:.1f} s ({written} written, "
        "{parked} parked)"
    )


@dataclass(frozen=True, slots=True)
class Loaded(Observation):
    """A full load is complete and its index stands behind the alias: of the ids that were read
    (`documents`), so many documents are written, and so many parked."""

    index: str
    physical: str
    documents: int
    seconds: float
    written: int
    parked: int
    TEXT: ClassVar[str] = (
        "{index}: loaded in {seconds:.1f} s: {documents} read, {written} written, {parked} parked "
        "({physical})"
    )


@dataclass(frozen=True, slots=True)
class SwapHeld(Observation):
    """A full load is complete, but its index has lost too much beside the one in use: that one
    stays, and a person decides. `lost` documents of it are gone, `refused` ones are not taken."""

    index: str
    physical: str
    before: int
    written: int
    lost: int
    refused: int
    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "{index}: held: {reason}"


@dataclass(frozen=True, slots=True)
class LoadedNothing(Observation):
    """A full load of a table with rows gave no document at all."""

    index: str
    documents: int
    parked: int
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = (
        "{index}: no document was written: {documents} ids were read, and the table has rows; "
        "{parked} are parked. Does query_file (or ids_file) return them? `listener parked` says "
        "why documents were refused"
    )


@dataclass(frozen=True, slots=True)
class ReconcileStarted(Observation):
    """Database and index are compared, both ways; what differs is written again."""

    index: str
    reason: str
    TEXT: ClassVar[str] = "{index}: comparing database and index ({reason})"


@dataclass(frozen=True, slots=True)
class CompareProgress(Observation):
    """How far a comparison is; it reads the database's documents, then the index's ids."""

    index: str
    documents: int
    total: int
    seconds: float
    TEXT: ClassVar[str] = "{index}: compared {documents} of about {total} in {seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class Reconciled(Observation):
    """A comparison is complete, and what it found is mended (but see deletes_guarded)."""

    index: str
    documents: int
    missing: int
    stale: int
    orphaned: int
    seconds: float
    TEXT: ClassVar[str] = (
        "{index}: {documents} documents compared in {seconds:.1f} s: {missing} missing, "
        "{stale} stale, {orphaned} orphaned"
    )


@dataclass(frozen=True, slots=True)
class VerifyImpatient(Observation):
    """The active daemon's watermark did not pass the first look in time."""

    seconds: float
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "the daemon's watermark did not move on within {seconds:.0f} s: some of what is called "
        "wrong may only be late"
    )


@dataclass(frozen=True, slots=True)
class DeletesGuarded(Observation):
    """A comparison would delete too many documents, or a load in its place lose them: none is
    deleted, and a person decides."""

    index: str
    orphaned: int
    allowed: int
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = (
        "{index}: {orphaned} documents are not in the database, more than the {allowed} that are "
        "deleted without asking; nothing was deleted. Is this the right database, whole? If so: "
        "`listener verify --repair --allow-deletes`"
    )


@dataclass(frozen=True, slots=True)
class IndexStandsStill(Observation):
    """The index in use was made by files that are not known, or that the database does not fit any
    more: people search it as it is, until the index that is loaded takes its place."""

    index: str
    physical: str
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "{index}: {physical} is searched, and follows the database no longer until the new index "
        "takes its place: {reason}"
    )


@dataclass(frozen=True, slots=True)
class FormerKept(Observation):
    """After a swap the former index is fed on by its own definition, so that a person can go
    back."""

    index: str
    physical: str
    until: datetime
    TEXT: ClassVar[str] = (
        "{index}: the former index {physical} is kept and fed until {until}: "
        "`listener rollback {index}` goes back to it"
    )


@dataclass(frozen=True, slots=True)
class FormerNotKept(Observation):
    """After a swap the index that was in use is fed no more, though `keep_former` asks for it.
    Nobody can go back to it."""

    index: str
    physical: str
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "{index}: the former index {physical} is not fed on, `listener rollback` cannot use it: "
        "{reason}"
    )


@dataclass(frozen=True, slots=True)
class FormerExpired(Observation):
    """The time of a former index is over: it is fed no more."""

    index: str
    physical: str
    reason: str
    TEXT: ClassVar[str] = (
        "{index}: the former index {physical} is fed no more: {reason}; "
        "`listener load --drop-old` removes it"
    )


@dataclass(frozen=True, slots=True)
class FormerGivenUp(Observation):
    """A former index is fed no more before its time is over, for what it holds is not certain or it
    would have held others up. Nobody can go back to it."""

    index: str
    physical: str
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "{index}: the former index {physical} is given up, `listener rollback` cannot use it any "
        "more: {reason}; `listener load --drop-old` removes it"
    )


@dataclass(frozen=True, slots=True)
class RolledBack(Observation):
    """A person has gone back to the former index: people search it from now on."""

    index: str
    physical: str
    former: str
    TEXT: ClassVar[str] = "{index}: rolled back: people search {physical} again, not {former}"


@dataclass(frozen=True, slots=True)
class LoadGivenUp(Observation):
    """A load is not made, and its index removed: its files are not in force any more."""

    index: str
    physical: str
    TEXT: ClassVar[str] = (
        "{index}: the load into {physical} is given up, for it would take back the rollback"
    )


@dataclass(frozen=True, slots=True)
class RollbackRefused(Observation):
    """A rollback that a person asked for cannot be made."""

    index: str
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "{index}: not rolled back: {reason}"


@dataclass(frozen=True, slots=True)
class FilesNotInForce(Observation):
    """A person went back to the former index, and the files are still those that made the other
    one."""

    index: str
    since: datetime
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = (
        "{index}: the files of {index} are not in force since {since}: put them right, or "
        "`listener load {index}` loads them again"
    )


@dataclass(frozen=True, slots=True)
class OldIndexKept(Observation):
    """The index that the alias pointed to before is kept."""

    index: str
    physical: str
    ours: bool = True
    """Whether `load --drop-old` will find it: its name begins with the alias and a dash, it says
    that it is of this pipeline and database, and nobody else has an alias for it."""
    belongs_to: str = ""
    """The other database, or schema of ours, of a pipeline of our name that it says it is of."""
    TEXT: ClassVar[str] = (
        "{index}: the former index {physical} is kept; `listener load --drop-old` removes it"
    )

    def sentence(self) -> str:
        """What people read."""
        if self.ours:
            return self.TEXT.format(**self.values())
        why = (
            f"it belongs to {self.belongs_to}"
            if self.belongs_to
            else "it is not one that listener made, or somebody has an alias for it"
        )
        return (
            f"{self.index}: the former index {self.physical} is kept, and listener will not remove "
            f"it: {why}. When nobody needs it: DELETE /{self.physical}"
        )


@dataclass(frozen=True, slots=True)
class IndexVanished(Observation):
    """An index or its alias is gone or another one: it is loaded anew."""

    index: str
    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "{index}: {reason}; loading it anew"


@dataclass(frozen=True, slots=True)
class IndexWentBack(Observation):
    """An index is not as we left it: a snapshot, an older data folder or an empty shard."""

    index: str
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "{index}: {reason}; database and index are compared"


@dataclass(frozen=True, slots=True)
class SearchRestarted(Observation):
    """Elasticsearch was started anew since the last look at its shards."""

    since: datetime
    TEXT: ClassVar[str] = (
        "Elasticsearch was started anew: what was written since {since} is read once more"
    )


@dataclass(frozen=True, slots=True)
class GenerationRaised(Observation):
    """This process owns the write aliases from here on."""

    generation: int
    LEVEL: ClassVar[Level] = "DEBUG"
    TEXT: ClassVar[str] = "generation {generation}"


@dataclass(frozen=True, slots=True)
class Fenced(Observation):
    """Another process raised the generation: what we send is refused."""

    ours: int
    theirs: int
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "fenced: generation {theirs} is in force, ours is {ours}"


@dataclass(frozen=True, slots=True)
class HistoryChanged(Observation):
    """The database is not the one, or not in the state, that the watermark speaks of."""

    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "another history: {reason}; database and index are compared"


@dataclass(frozen=True, slots=True)
class Reassembled(Observation):
    """Watched tables have other types than before: all stages are built anew."""

    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "{reason}: beginning anew"


@dataclass(frozen=True, slots=True)
class AuditFailed(Observation):
    """Triggers, tables or indexes are not what they were at the last look: begin anew."""

    what: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "audit: {what}"


@dataclass(frozen=True, slots=True)
class StateNotSaved(Observation):
    """state.yaml could not be written; work goes on, the next start repeats more."""

    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "state not saved: {reason}"


@dataclass(frozen=True, slots=True)
class StateSavedAgain(Observation):
    """state.yaml could be written again."""

    seconds: float
    TEXT: ClassVar[str] = "state saved again after {seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class StateFromControl(Observation):
    """The watermark came from the control document, not from state.yaml."""

    last_processed: datetime
    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "watermark {last_processed} taken from the control document: {reason}"


@dataclass(frozen=True, slots=True)
class ControlDamaged(Observation):
    """The control document cannot be read: as good as lost, it is written anew."""

    reason: str
    LEVEL: ClassVar[Level] = "WARNING"
    TEXT: ClassVar[str] = "the control document cannot be used, and is written anew: {reason}"


@dataclass(frozen=True, slots=True)
class ControlNotSaved(Observation):
    """The control document could not be written; a daemon that starts without our state.yaml
    begins from what it was before."""

    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "control document not saved: {reason}"


@dataclass(frozen=True, slots=True)
class MakingIndex(Observation):
    """An index on a stamp column is made or removed; on a large table that takes its time."""

    what: str
    TEXT: ClassVar[str] = "{what}"


@dataclass(frozen=True, slots=True)
class TriggersInstalled(Observation):
    """Triggers and tables of ours were brought to the wanted state."""

    statements: int
    TEXT: ClassVar[str] = "triggers installed ({statements} statements)"


@dataclass(frozen=True, slots=True)
class CheckFailed(Observation):
    """One finding of the checks: at the start, or of a session whose queries mean another thing."""

    what: str
    mend: str
    LEVEL: ClassVar[Level] = "ERROR"

    def sentence(self) -> str:
        """What people read; there may be nothing to write down."""
        return f"{self.what}. {self.mend}" if self.mend else self.what


@dataclass(frozen=True, slots=True)
class CheckWarning(Observation):
    """One finding of the checks that does not stop us."""

    what: str
    mend: str
    LEVEL: ClassVar[Level] = "WARNING"

    def sentence(self) -> str:
        """What people read; there may be nothing to write down."""
        return f"{self.what}. {self.mend}" if self.mend else self.what


@dataclass(frozen=True, slots=True)
class Stopping(Observation):
    """Stop was asked for: the batch in flight is finished, the state is saved."""

    reason: str
    TEXT: ClassVar[str] = "stopping: {reason}"


@dataclass(frozen=True, slots=True)
class StoppedAll(Observation):
    """Everything has stopped."""

    status: int
    TEXT: ClassVar[str] = "stopped, exit status {status}"


@dataclass(frozen=True, slots=True)
class BesideActive(Observation):
    """--once found a daemon at work: it writes nothing and waits for that one's watermark."""

    reason: str
    TEXT: ClassVar[str] = (
        "a daemon is active ({reason}): waiting until its watermark has passed now"
    )


@dataclass(frozen=True, slots=True)
class Ended(Observation):
    """Why the process ends although nobody stopped it."""

    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "{reason}"


@dataclass(frozen=True, slots=True)
class Crashed(Observation):
    """A defect: a thread met an error that nobody expected. The process ends."""

    thread: str
    reason: str
    LEVEL: ClassVar[Level] = "ERROR"
    TEXT: ClassVar[str] = "defect in {thread}: {reason}"
