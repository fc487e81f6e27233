"""PostgreSQL: its sessions, its errors, and the watchdog that cuts dead connections."""

from listener.postgres.errors import (
    DIRECTLY,
    Pooled,
    describe,
    explain,
    is_passing,
    is_refused_login,
)
from listener.postgres.moments import LAST_MOMENT, Moments, moment
from listener.postgres.session import Connection, Session, connect, open_session, sessions, settle

__all__ = [
    "DIRECTLY",
    "LAST_MOMENT",
    "Connection",
    "Moments",
    "Pooled",
    "Session",
    "connect",
    "describe",
    "explain",
    "is_passing",
    "is_refused_login",
    "moment",
    "open_session",
    "sessions",
    "settle",
]
