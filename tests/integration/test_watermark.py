"""The watermark's proof on a real PostgreSQL: what is in, what is not, and when one may say so."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from listener.capture import watermark
from listener.config import PostgresConfig
from listener.postgres import Connection, connect
from playground.postgres import PostgresServer


@pytest.fixture
def config(postgres_server: PostgresServer, database: str) -> PostgresConfig:
    """How listener reaches the test's database."""
    info = psycopg.conninfo.conninfo_to_dict(postgres_server.dsn(database))
    return PostgresConfig.model_validate(
        {key: info[key] for key in ("host", "port", "dbname", "user", "password") if key in info}
    )


@pytest.fixture
def session(config: PostgresConfig) -> Iterator[Connection]:
    """A session as the daemon has it."""
    with connect(config, "listener: test") as connection:
        yield connection


@pytest.fixture
def writer(config: PostgresConfig) -> Iterator[psycopg.Connection]:
    """Somebody else, in a transaction of his own."""
    with psycopg.connect(
        host=config.host[0],
        port=config.port[0],
        dbname=config.dbname,
        user=config.user,
        password=config.password.get_secret_value() if config.password else None,
    ) as connection:
        yield connection


def test_an_idle_server_proves_at_once(session: Connection) -> None:
    """Nobody writes: every stamp before t is visible."""
    assert watermark.passed(session, watermark.draw(session))


def test_a_writer_from_before_t_holds_the_proof(
    session: Connection, writer: psycopg.Connection
) -> None:
    """Its stamp may be before t and its commit after: t proves nothing until it has ended."""
    writer.execute("SELECT pg_current_xact_id()")
    drawn = watermark.draw(session)
    assert not watermark.passed(session, drawn)
    writer.commit()
    assert watermark.passed(session, drawn)


def test_a_writer_from_after_t_does_not(session: Connection, writer: psycopg.Connection) -> None:
    """Its stamps are after t: they are none of t's business."""
    drawn = watermark.draw(session)
    writer.execute("SELECT pg_current_xact_id()")
    assert watermark.passed(session, drawn)


def test_a_reader_holds_nothing(session: Connection, writer: psycopg.Connection) -> None:
    """An open transaction that writes nothing has no id and stamps nothing."""
    writer.execute("SELECT count(*) FROM pg_class")
    assert watermark.passed(session, watermark.draw(session))


def test_a_subtransaction_holds_the_proof(session: Connection, writer: psycopg.Connection) -> None:
    """A savepoint that was released belongs to its transaction."""
    with writer.transaction(), writer.transaction():
        writer.execute("SELECT pg_current_xact_id()")
        drawn = watermark.draw(session)
        assert not watermark.passed(session, drawn)
    writer.commit()
    assert watermark.passed(session, drawn)


def test_the_holder_is_named(session: Connection, writer: psycopg.Connection) -> None:
    """At night somebody wants to know whom to call."""
    writer.execute("SET application_name = 'nightly import'")
    writer.execute("SELECT pg_current_xact_id()")
    drawn = watermark.draw(session)
    assert not watermark.passed(session, drawn)
    told = watermark.holder(session)
    assert "nightly import" in told
    assert str(writer.info.backend_pid) in told


def test_each_draw_burns_an_id_of_its_own(session: Connection) -> None:
    """L must be above every id that was given before it."""
    first, second = watermark.draw(session), watermark.draw(session)
    assert second.xid > first.xid
    assert second.at > first.at
