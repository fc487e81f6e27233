"""`listener check`: what is wrong, and what mends it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Final

from listener import ListenerError, postgres, search, triggers
from listener.checks import Finding, check_files, check_samples, check_search, check_server
from listener.checks.preflight import INSTALL, look_at_database, look_at_triggers
from listener.checks.relations import UNHEARD
from listener.config import Config
from listener.config.settings import config_path, misspelt
from listener.documents.definition import Definition
from listener.documents.files import QueryFileError, sql_files
from listener.documents.in_use import kept_now
from listener.documents.topology import assemble
from listener.failures import SERVER_ERRORS, Failure, failure_of
from listener.observations.events import Observe, ServerName
from listener.observations.surprises import SURPRISES, told
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.index_config import IndexError_
from listener.search.owners import Database, Owner
from listener.state import identity

_AWAY: Final = {
    ServerName.POSTGRES: "start it, or postgres.host and postgres.port: where it listens",
    ServerName.ELASTICSEARCH: "start it, or elasticsearch.urls: where it listens",
}
"""What may mend that a server cannot be reached, where nothing better is known."""


def arguments(_parser: argparse.ArgumentParser) -> None:
    """This command has no arguments of its own."""


def run(config: Config, _observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Print all findings on the configuration of this file, and on the servers.

    0 where nothing is wrong, 2 with errors, 3 where a server is away.
    """
    findings = [
        Finding("warning", f"the variable {name} means nothing", f"did you mean {meant}?")
        for name, meant in misspelt(config_path(given.config)).items()
    ]
    findings += check_files(config.documents)
    ours: list[Database] = []
    looks: dict[ServerName, Callable[[], None]] = {
        ServerName.POSTGRES: lambda: _postgres(config, findings, ours),
        ServerName.ELASTICSEARCH: lambda: _elasticsearch(config, findings, ours),
    }
    away = [server for server, look in looks.items() if _try(server, look, findings)]
    if not away and ours:  # with a session of its own
        away = _samples(config, findings, ours[0], stop)
    findings = sorted(_each_once(findings), key=lambda one: one.severity)
    for one in findings:
        print(f"{one.severity}: {one.what}")
        for line in one.mend.splitlines():
            print(f"    {line}")
    errors = sum(one.severity == "error" for one in findings)
    told = f"{errors} errors, {len(findings) - errors} warnings"
    if away:
        print(f"{told}; not all was looked at: run it again when {' and '.join(away)} can answer")
        return 3
    print(told)
    return 2 if errors else 0


def _each_once(findings: Sequence[Finding]) -> list[Finding]:
    """Without those of which another one says the same, and how it is mended."""
    known = dict.fromkeys(findings)
    return [
        one
        for one in known
        if one.mend or not any(other.what.startswith(f"{one.what}. ") for other in known)
    ]


def _try(server: ServerName, look: Callable[[], None], findings: list[Finding]) -> bool:
    """Whether the server cannot answer now. What does not pass by itself is a finding."""
    try:
        look()
    except SERVER_ERRORS as error:
        failure = failure_of(error)
        findings.append(_finding(server, failure))
        return failure.passes
    except SURPRISES as error:
        findings.append(Finding("error", f"{server}: {told(error)}"))
        return False
    print(f"{server}: looked at")
    return False


def _finding(server: ServerName, failure: Failure) -> Finding:
    """A server that cannot answer, or not to this question."""
    mend = failure.mend or (_AWAY[server] if failure.passes else "")
    return Finding("error", f"{server}: {failure.reason}", mend)


def _postgres(config: Config, findings: list[Finding], ours: list[Database]) -> None:
    try:
        session = postgres.connect(config.postgres, "listener: check")
    except postgres.Pooled as error:
        findings.append(Finding("error", str(error), postgres.DIRECTLY))
        return
    with session as connection:
        ours.append(identity.database(connection, config.postgres.db_schema))
        findings += check_server(connection)
        other = triggers.other_pipeline(connection, config.postgres.db_schema, config.pipeline)
        if other is not None:
            findings.append(Finding("error", other.what, other.mend))
            return
        try:
            found = look_at_triggers(config, connection, kept=_kept(config, connection))
            if config.triggers.install == "auto":
                found = [_installed_later(one) for one in found]
            findings += found
        except triggers.TriggerError as error:
            findings += [Finding("error", problem) for problem in error.problems]
        findings += look_at_database(config, connection)
        if not any(one.severity == "error" and one.mend != INSTALL for one in findings):
            _assemble(config, connection, findings)


def _kept(config: Config, connection: postgres.Connection) -> tuple[Definition, ...]:
    """Definitions that indexes in use keep, as far as they are known. Other looks tell what is
    wrong with a file, and why Elasticsearch does not answer."""
    try:
        kept, _ = kept_now(config, connection)
    except (QueryFileError, IndexError_):
        return ()
    return kept.fit


def _installed_later(found: Finding) -> Finding:
    """What the daemon itself mends is no error."""
    if found.severity == "error" and found.mend == INSTALL:
        return Finding("warning", found.what, "`listener run` installs them")
    return found


def _assemble(config: Config, connection: postgres.Connection, findings: list[Finding]) -> None:
    """What only the parts together tell: contradictions between watches."""
    try:
        assemble(config, connection)
    except (triggers.TriggerError, QueryFileError) as error:
        findings += [Finding("error", problem) for problem in error.problems]
    except ListenerError as error:
        findings.append(Finding("error", str(error)))


def _elasticsearch(config: Config, findings: list[Finding], ours: list[Database]) -> None:
    client = search.connect(config.elasticsearch)
    findings += check_search(client, config, database=ours[0] if ours else None)


def _samples(
    config: Config, findings: list[Finding], database: Database, stop: Stop
) -> list[ServerName]:
    """Read a sample of each document; the server that cannot answer now, if one cannot.

    Where the parts do not fit together, or a right is missing, the other checks have said so.
    """
    errors = any(one.severity == "error" for one in findings)
    denied = any("lacks the privileges" in one.what for one in findings)
    wrong = [one.what for one in findings if one.severity == "error" and UNHEARD not in one.what]
    told_of = {
        f"{document.index}: {file.path}"
        for document in config.documents
        for file in sql_files(document)
        if any(what.startswith(f"{document.index}: ") and str(file.path) in what for what in wrong)
    }
    try:
        with (
            postgres.connect(config.postgres, "listener: check") as connection,
            search.connect(config.elasticsearch) as client,
        ):
            parts = assemble(config, connection)
            owner = Owner(config.pipeline, database)
            findings += check_samples(
                connection,
                client,
                owner,
                config.documents,
                parts,
                stop=stop,
                denied=denied,
                told=told_of,
            )
    except Stopped:
        raise KeyboardInterrupt from None
    except SERVER_ERRORS as error:
        failure = failure_of(error)
        server = failure.server
        assert server is not None
        if failure.passes or not errors:
            findings.append(_finding(server, failure))
        return [server] if failure.passes else []
    except SURPRISES as error:
        if not errors:
            findings.append(Finding("error", told(error)))
    else:
        print("samples: looked at")
    return []
