"""`listener load`: a full load into new indexes, and the swap of the aliases."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime

from listener import postgres, search
from listener.app.daemon import Daemon
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.capture import watermark
from listener.capture.lock import lock_holder
from listener.config import Config
from listener.config.documents import not_configured
from listener.documents.topology import assemble, hash_of
from listener.failures import FAILURES
from listener.indexing.parked_table import ParkedTable
from listener.observations.events import Observe
from listener.observations.surprises import Unfit
from listener.resync.active import ActiveDaemon
from listener.resync.asked_load import AskedLoads
from listener.resync.survey import Asked
from listener.runtime.lifecycle import Stop
from listener.search.indexes import Indexes
from listener.state import identity
from listener.state.control import ControlDocument
from listener.state.model import State


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("index", nargs="*", metavar="INDEX", help="only these (default: all)")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="swap the new index in that is held, whatever it lacks or refuses (default: all held)",
    )
    parser.add_argument(
        "--drop-old",
        action="store_true",
        help="load nothing; delete indexes of this pipeline that no alias leads to any more",
    )


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Load, or delete what former loads left; returns the exit status.

    0: swapped; 1: some documents are parked, or there are none; 2: configuration, or an index is
    not swapped in; 3: a server is away, or the active daemon does not come to it.
    """
    if given.drop_old:
        return status_of(lambda: _drop_old(config))

    def work() -> int:
        names = _chosen(config, given.index)
        held = _held(config, names, named=bool(given.index)) if given.accept else {}
        if held:
            names = list(held)
        status: int | None = None
        if _is_active(config):
            status = _ask(config, names, stop, accept=held)
        if status is None:
            daemon = Daemon(
                config,
                observe=observe,
                stop=stop,
                once=True,
                asked=Asked(
                    force=not given.index and not given.accept,
                    load=frozenset(names),
                    accept=held,
                ),
            )
            status = int(daemon.run())
        if status == Status.ACTIVE:  # another one has begun since
            again = _ask(config, names, stop, accept=held)
            status = status if again is None else again
        return status

    return status_of(work)


def _chosen(config: Config, given: Sequence[str]) -> list[str]:
    """The indexes that are to be loaded. Raises Unfit where a name is none."""
    known = [document.index for document in config.documents]
    for name in given:
        if name not in known:
            raise Unfit(not_configured(name, known))
    return [name for name in known if name in given or not given]


def _is_active(config: Config) -> bool:
    """Whether a daemon is at work. Where that cannot be told, the load waits for the server."""
    try:
        with postgres.connect(config.postgres, "listener: load") as connection:
            return lock_holder(connection, config.postgres.db_schema) is not None
    except FAILURES:
        return False


def _held(config: Config, names: Sequence[str], *, named: bool) -> dict[str, str]:
    """By alias, the new index that waits for a person's word. The word is bound to this index,
    whose losses were told: it accepts no other load.

    Raises Unfit where one that is `named` has none, where none has, or where other files made it.
    """
    client = search.connect(config.elasticsearch)
    control = ControlDocument(client, config.elasticsearch.control_index, config.pipeline)
    state, indexes = control.read().state, Indexes(client, config.pipeline)
    held: dict[str, str] = {}
    for document in config.documents:
        refusal = state.refused.get(document.index) if state is not None else None
        found = indexes.get(refusal.physical) if refusal is not None else None
        if document.index not in names or found is None:
            continue
        if found.hash != hash_of(document):
            raise Unfit(
                f"{document.index}: {found.name} is held, and the files have changed since: "
                "restart the daemon, and it loads by them"
            )
        held[document.index] = found.name
    without = [name for name in names if name not in held]
    if not held or (named and without):
        start = "" if held else "nothing is held: "
        have = "has" if len(without) == 1 else "have"
        raise Unfit(
            f"{start}{', '.join(without)} {have} no new index that waits for a person's word"
        )
    return held


def _ask(
    config: Config, names: Sequence[str], stop: Stop, *, accept: Mapping[str, str]
) -> int | None:
    """Have the active daemon do it. None: it has ended, and no other one has begun."""
    with ExitStack() as stack:
        connection = stack.enter_context(postgres.connect(config.postgres, "listener: load"))
        parts = assemble(config, connection)
        client = search.connect(config.elasticsearch)
        stack.callback(client.close)
        schema = config.postgres.db_schema
        loads = AskedLoads(
            connection=connection,
            parts=parts,
            indexes=Indexes(client, config.pipeline),
            control=ControlDocument(client, config.elasticsearch.control_index, config.pipeline),
            parked=ParkedTable(schema),
            daemon=ActiveDaemon(connection, schema, parts.watches[0].id),
            stop=stop,
            patience=config.backoff.give_up_after,
        )
        return loads.run(names, schema, accept=accept)


def _drop_old(config: Config) -> int:
    with postgres.connect(config.postgres, "listener: load") as connection:
        ours = identity.database(connection, config.postgres.db_schema)
        now = watermark.now(connection)[0]
    client = search.connect(config.elasticsearch)
    indexes = Indexes(client, config.pipeline, ours)
    control = ControlDocument(client, config.elasticsearch.control_index, config.pipeline)
    state = control.read().state
    left = False
    for document in config.documents:
        left = _drop_former(indexes, document.index, state, now) or left
        for name in indexes.old(document.index):
            left = True
            indexes.delete(name)
            print(f"deleted {name}")
        for found in indexes.old_of_others(document.index):
            left = True
            print(f"kept {found.name}: it belongs to {found.database}")
    if not left:
        print("nothing is left over")
    return int(Status.OK)


def _drop_former(indexes: Indexes, alias: str, state: State | None, now: datetime) -> bool:
    """Delete the former index that no daemon has closed, where its time is over. Whether there was
    one."""
    former = indexes.former(alias)
    if former is None:
        return False
    kept = None if state is None else state.kept.get(alias)
    if kept is not None and kept.physical == former.name and now < kept.until:
        print(
            f"kept {former.name}: until {kept.until:%Y-%m-%d %H:%M:%S%z} "
            f"`listener rollback {alias}` goes back to it"
        )
    elif indexes.drop_if_unused(former.name, alias):
        if indexes.get(former.name) is None:
            print(f"deleted {former.name}")
        else:
            print(
                f"kept {former.name}: somebody has an alias for it. If nobody needs that one, "
                "remove it first"
            )
    else:
        print(
            f"kept {former.name}: the server refuses to delete it now: a snapshot is being made, "
            "or a right is missing"
        )
    return True
