"""How a command ends where it cannot go on: a line for people, and a status."""

from __future__ import annotations

import sys
from collections.abc import Callable

import psycopg

from listener import postgres, search
from listener.app.failures import Status
from listener.observations.surprises import SURPRISES, told
from listener.runtime.lifecycle import Stopped


def status_of(work: Callable[[], int]) -> int:
    """What `work` returns; 2 for configuration or rights, 3: a server is away, 130: stopped."""
    try:
        return work()
    except Stopped:
        return 130
    except psycopg.Error as error:
        print(f"listener: PostgreSQL: {postgres.describe(error)}", file=sys.stderr)
        return int(Status.GAVE_UP if postgres.is_passing(error) else Status.USAGE)
    except search.Error as error:
        print(f"listener: Elasticsearch: {search.describe(error)}", file=sys.stderr)
        return int(Status.GAVE_UP if search.is_passing(error) else Status.USAGE)
    except SURPRISES as error:
        print(f"listener: {told(error)}", file=sys.stderr)
        return int(Status.USAGE)
