"""`listener kibana`: make Kibana's data views, one for each document."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from listener.config import Config
from listener.observations.events import Observe
from listener.runtime.backoff import backoff
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.kibana import Kibana, KibanaAway, KibanaError, data_views

TIMEOUT: Final = 300.0
"""Seconds: a Kibana that starts beside us on a small machine takes one or two minutes."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for Kibana (default: %(default)g)",
    )


def run(config: Config, _observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Make the data views; returns the exit status of `ensure`."""
    return ensure(config, stop, given.timeout)


def ensure(config: Config, stop: Stop, timeout: float = TIMEOUT) -> int:
    """Wait for Kibana, at most `timeout` seconds, and make the data views.

    Returns 0 when all are there, 2 where Kibana refuses, 3 where it did not answer in time.
    Raises ConfigError where a secret cannot be read.
    """
    try:
        kibana = Kibana(config.kibana.url, config.elasticsearch)
        patient = backoff(
            start=config.backoff.start,
            factor=config.backoff.factor,
            limit=config.backoff.limit,
            exceptions=(KibanaAway,),
            stop=stop,
            on_wait=_tell,
            give_up_after=timeout,
        )(kibana.ensure)
        for view in data_views(config):
            done = "made" if patient(view) == "made" else "already there"
            field = f", time field {view.time_field}" if view.time_field else ""
            print(f"data view {view.title}: {done}{field}", flush=True)
    except KibanaError as error:
        print(error, file=sys.stderr)
        return 2
    except KibanaAway as error:
        print(
            f"Kibana at {config.kibana.url} did not answer within {timeout:g} s: {error}",
            file=sys.stderr,
        )
        return 3
    except Stopped:
        print("stopped before Kibana answered", file=sys.stderr)
        return 3
    return 0


def _tell(attempt: int, seconds: float, error: str, /) -> None:
    print(
        f"Kibana does not answer yet ({error}); try {attempt + 1} in {seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )
