"""Connections to PostgreSQL: how sessions are set up, and which errors pass by themselves."""

from listener.postgres.session import (
    DIRECTLY,
    LAST_MOMENT,
    Connection,
    Moments,
    Pooled,
    Session,
    connect,
    describe,
    is_passing,
    open_session,
    sessions,
    settle,
)

__all__ = [
    "DIRECTLY",
    "LAST_MOMENT",
    "Connection",
    "Moments",
    "Pooled",
    "Session",
    "connect",
    "describe",
    "is_passing",
    "open_session",
    "sessions",
    "settle",
]
