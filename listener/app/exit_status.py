"""How a command ends where it cannot go on: a line for people, and a status."""

from __future__ import annotations

import sys
from collections.abc import Callable

from listener.app.status import Status
from listener.documents.files import QueryFileError
from listener.failures import FAILURES, failure_of
from listener.runtime.lifecycle import Stopped
from listener.triggers import TriggerError


def status_of(work: Callable[[], int]) -> int:
    """What `work` returns; 2 for configuration or rights, 3: a server is away, 130: stopped."""
    try:
        return work()
    except Stopped:
        return 130
    except (QueryFileError, TriggerError) as error:
        for problem in error.problems:
            print(f"listener: {problem}", file=sys.stderr)
        return int(Status.USAGE)
    except FAILURES as error:
        failure = failure_of(error)
        print(f"listener: {failure}", file=sys.stderr)
        return int(Status.GAVE_UP if failure.passes else Status.USAGE)
