"""Failures that a test says."""

from __future__ import annotations

from listener.failures import Failure
from listener.indexing.outage import Outage


def held(reason: str, mend: str = "") -> Failure:
    """One that a person must mend."""
    return Failure(None, reason, passes=False, mend=mend)


def reason_of(outage: Outage) -> str:
    """Why a server does not do what it should."""
    return outage.failure.reason if outage.failure is not None else ""
