"""The soak's servers, daemons and writers, for tests of the soak."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.soak.stage import Stage, open_stage


@pytest.fixture(scope="module")
def soak_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Servers, two daemons and some writers."""
    with open_stage(tmp_path_factory.mktemp("soak"), 1, writers=4, pace=0.05, bulk=1500) as stage:
        yield stage


@pytest.fixture
def soak_stage(soak_servers: Stage) -> Stage:
    """The same, whole, whatever the test before left: each test answers for itself."""
    for seat in soak_servers.world.seats:
        if not seat.running:
            seat.kill(excused=True)
    soak_servers.world.heal()
    for seat in soak_servers.world.seats:
        seat.deaths.clear()
    soak_servers.crashes.clear()
    soak_servers.writers.start()
    return soak_servers
