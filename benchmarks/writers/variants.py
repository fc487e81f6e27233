"""The databases of the scenario `writers`: one table, with each set of our triggers and without."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import psycopg

from benchmarks.stage import Site, Stage
from listener.capture.doorbell_lease import Lease

Poll = Literal["updated_at", "journal"]
Notify = Literal["rows", "doorbell", "off"]
POLLS: Final[tuple[Poll, ...]] = ("updated_at", "journal")
NOTIFIES: Final[tuple[Notify, ...]] = ("rows", "doorbell", "off")

_CHANNEL: Final = "listener"
_LOOK: Final = 0.2

# As content.film_work, without foreign keys: their triggers would pay a part of ours in the ratios.
# The index on updated_at is there in all variants.
_TABLE: Final = """
    CREATE SCHEMA shop;
    CREATE TABLE shop.item (
        id uuid PRIMARY KEY,
        title text NOT NULL,
        description text,
        rating double precision,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON shop.item (updated_at);
    INSERT INTO shop.item (id, title, description, rating)
    SELECT md5(n::text)::uuid, 'Item number ' || n, repeat('a description ', 5), n % 100 / 10.0
    FROM generate_series(1, {rows}) AS n;
"""
# The least that a journal of changes costs: one INSERT, without regard to faults or moved keys.
_LEAST: Final = """
    CREATE SCHEMA listener;
    CREATE TABLE listener.journal (
        id bigint GENERATED ALWAYS AS IDENTITY (CACHE 100),
        updated_at timestamptz NOT NULL,
        watch text NOT NULL,
        keys text,
        PRIMARY KEY (updated_at, id)
    );
    CREATE FUNCTION listener.note() RETURNS trigger LANGUAGE plpgsql AS $note$
        BEGIN
            INSERT INTO listener.journal (updated_at, watch, keys)
            SELECT clock_timestamp(), 'shop.item(id)', n.id::text FROM new_rows AS n;
            RETURN NULL;
        END
    $note$;
    CREATE TRIGGER note AFTER UPDATE ON shop.item REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION listener.note();
"""
_QUERY: Final = """
    SELECT i.id, json_build_object('title', i.title, 'rating', i.rating) AS document
    FROM shop.item AS i
    WHERE i.id = ANY(%(ids)s)
"""
_INDEX: Final = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "dynamic": "strict",
        "properties": {"title": {"type": "text"}, "rating": {"type": "double"}},
    },
}


@dataclass(frozen=True, slots=True)
class Variant:
    """How the table is watched."""

    poll: Poll
    notify: Notify

    @property
    def label(self) -> str:
        """For names of figures."""
        return f"{self.poll}, {self.notify}"


VARIANTS: Final = tuple(Variant(poll, notify) for poll in POLLS for notify in NOTIFIES)


@contextlib.contextmanager
def databases(stage: Stage, rows: int) -> Iterator[dict[Variant | None, Site]]:
    """One database a variant, and one without triggers (None)."""
    with contextlib.ExitStack() as stack:
        found: dict[Variant | None, Site] = {}
        for variant in (None, *VARIANTS):
            site = stack.enter_context(stage.site())
            site.sql(_TABLE.format(rows=rows))
            if variant is not None:
                _install(site, variant)
            found[variant] = site
        yield found


@contextlib.contextmanager
def least(stage: Stage, rows: int) -> Iterator[Site]:
    """One more database, where a trigger does one INSERT and no more."""
    with stage.site() as site:
        site.sql(_TABLE.format(rows=rows))
        site.sql(_LEAST)
        yield site


def _install(site: Site, variant: Variant) -> None:
    """listener's triggers, by the command that users run."""
    query, index = site.folder / "item.sql", site.folder / "item.json"
    query.write_text(_QUERY, "utf-8")
    index.write_text(json.dumps(_INDEX), "utf-8")
    watch = {"table": "shop.item", "key": "id", "notify": variant.notify}
    if variant.poll == "updated_at":
        watch["updated_at"] = "updated_at"
    site.options["documents"] = [
        {
            "index": site.index,
            "index_config_file": str(index),
            "query_file": str(query),
            "table": "shop.item",
            "key": "id",
            "watch": [watch],
        }
    ]
    site.write()
    site.run("triggers", "install")


def tidy(site: Site) -> None:
    """What autovacuum and the daemon's pruning do in life, between the measurements."""
    with superuser(site) as connection:
        if connection.execute("SELECT to_regclass('listener.journal')").fetchone() != (None,):
            connection.execute("TRUNCATE listener.journal")
        connection.execute("VACUUM ANALYZE shop.item")
        if not site.stage.quick:
            connection.execute("CHECKPOINT")


def superuser(site: Site) -> psycopg.Connection[tuple[object, ...]]:
    """Over the socket, in autocommit."""
    dsn = site.stage.postgres.socket_dsn(site.name)
    return psycopg.connect(dsn, autocommit=True)


@contextlib.contextmanager
def heard(site: Site, *, keep: bool = False) -> Iterator[None]:
    """One session listens and reads it all: without any, NOTIFY is cheaper than in life.

    `keep`: it keeps the doorbell, too, as a daemon does under such a load.
    """
    over = threading.Event()
    with superuser(site) as connection:
        connection.execute(f"LISTEN {_CHANNEL}".encode())
        lease = Lease(connection, _CHANNEL)
        if keep:
            lease.keep()

        def read() -> None:
            while not over.is_set():
                for _ in connection.notifies(timeout=_LOOK):
                    pass
                if keep:
                    lease.keep()

        reader = threading.Thread(target=read, name="heard")
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()
