"""`listener load`: a full load into new indexes, and the swap of the aliases."""

from __future__ import annotations

from typing import Final

from listener import elastic, identity, postgres
from listener.config import Config
from listener.daemon import Daemon, Status
from listener.endings import status_of
from listener.indexes import Indexes
from listener.lifecycle import Stop
from listener.observations import Observe

HELP: Final = "load everything into new indexes, swap the aliases, start a new state"
DROP_OLD: Final = "load nothing; delete indexes of this pipeline that no alias leads to any more"


def run(config: Config, observe: Observe, stop: Stop, *, drop_old: bool) -> int:
    """Load, or delete what former loads left; returns the exit status."""
    if not drop_old:
        return int(Daemon(config, observe=observe, stop=stop, once=True, force=True).run())

    def work() -> int:
        with postgres.connect(config.postgres, "listener: load") as connection:
            ours = identity.database(connection, config.postgres.db_schema)
        indexes = Indexes(elastic.connect(config.elasticsearch), config.pipeline, ours)
        for document in config.documents:
            for name in indexes.old(document.index):
                indexes.delete(name)
                print(f"deleted {name}")
            for found in indexes.old_of_others(document.index):
                print(f"kept {found.name}: it belongs to {found.database}")
        return int(Status.OK)

    return status_of(work)
