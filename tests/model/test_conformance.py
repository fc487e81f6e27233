"""The real pipeline goes the model's way: the order of each batch, and what follows a lost answer.

The model shows which orders are right; this shows that the code has them, also those that are
second guards and that no outcome would betray.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from listener.app.daemon import Daemon
from listener.config.settings import load
from listener.observations.events import CaughtUp, Observation, StoppedAll
from listener.runtime.lifecycle import Stop
from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.search import SearchServer
from playground.system import wait_until
from tests.kit.scene import Scene, Template, open_scene
from tests.model.recorded import Call, Record, record
from tests.model.rules import AS_BUILT

FILMS = 300
"""How many the scene has."""
LETTERS = dict(zip(AS_BUILT.order, "TDR", strict=True))


@contextmanager
def daemon_in_this_process(scene: Scene) -> Iterator[list[Observation]]:
    """A daemon in a thread, up to its stop; what it tells."""
    seen: list[Observation] = []
    serves = threading.Event()

    def observe(one: Observation) -> None:
        seen.append(one)
        if isinstance(one, CaughtUp | StoppedAll):
            serves.set()

    stop = Stop()
    daemon = Daemon(load(scene.config), observe=observe, stop=stop)
    thread = threading.Thread(target=daemon.run, name="daemon")
    thread.start()
    try:
        assert serves.wait(60), seen
        assert isinstance(seen[-1], CaughtUp), seen
        yield seen
    finally:
        stop.request()
        thread.join()


@pytest.fixture(scope="module")
def calls(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Call]:
    """What a daemon did: a load, edits, and edits while Elasticsearch did not answer."""
    folder = tmp_path_factory.mktemp("conformance")
    with (
        pytest.MonkeyPatch.context() as patch,
        open_scene(postgres_server, search_server, movies_template, folder) as scene,
        TcpProxy("127.0.0.1", search_server.port) as proxy,
    ):
        made = record(patch)
        scene.set(
            elasticsearch={"urls": [f"http://{proxy.host}:{proxy.port}"], "request_timeout": 2}
        )
        with daemon_in_this_process(scene):
            scene.set(elasticsearch={"urls": [scene.search.url]})
            scene.wait_converged()
            edit(scene, 5)
            scene.wait_converged()
            cut(scene, proxy, made)
            scene.wait_converged()
            refuse(scene, made)
    return made.calls


def edit(scene: Scene, rounds: int, films: int = 5) -> None:
    """The same few films again and again, each round in a transaction."""
    with scene.superuser() as connection:
        for number in range(rounds):
            connection.execute(
                "UPDATE content.film_work SET title = title || %s WHERE id IN "
                "(SELECT id FROM content.film_work ORDER BY id LIMIT %s)",
                [str(number), films],
            )


def cut(scene: Scene, proxy: TcpProxy, made: Record) -> None:
    """A request goes unanswered, and the same films change meanwhile.

    One more film changes with them, so that there is a batch which could take them too early. The
    network fails right before the request: earlier, another one might be lost, and no id be taken.
    """
    before = len(made.calls)
    made.at_send = proxy.stall
    edit(scene, 1)
    made.wait_for(lambda call: call.name == "sink.send", before)
    edit(scene, 3, films=6)
    made.wait_for(lambda call: call.lost, before)
    proxy.unstall()


def refuse(scene: Scene, made: Record) -> None:
    """A few films of many are refused: each is tried alone, while others change."""
    assert not any(call.by == "take_suspects" for call in made.calls)
    with scene.superuser() as connection:
        connection.execute(
            "UPDATE content.film_work SET rating = CASE WHEN id IN "
            "(SELECT id FROM content.film_work ORDER BY id LIMIT 3) THEN 'NaN'::real ELSE 1 END"
        )
    edit(scene, 5)
    wait_until(
        lambda: scene.admin("SELECT count(*) FROM listener.parked")[0][0] == 3,
        seconds=30,
        what="three are parked",
    )


def test_a_trial_has_one_suspect_and_a_witness(calls: list[Call]) -> None:
    """Both are read and sent together, in one request."""
    sent = [call.keys for call in calls if call.name == "sink.send"]
    suspects = [call.keys for call in calls if call.by == "take_suspects"]
    witnesses = [call.keys for call in calls if call.by == "take_witness"]
    assert len(suspects) == len(witnesses) >= 3
    for one, beside in zip(suspects, witnesses, strict=True):
        assert len(one) == len(beside) == 1
        assert one | beside in sent


def test_take_draw_read(calls: list[Call]) -> None:
    """Each batch of the worker: ids, then one version, then the read."""
    order = "".join(LETTERS[call.name] for call in calls if call.name in LETTERS)
    assert re.fullmatch(r"(T+DR)+", order), order
    assert len(order) > 20


def test_an_id_is_in_one_unanswered_request(calls: list[Call]) -> None:
    """From the moment that it is taken until the answer."""
    flying: set[object] = set()
    taken = Counter[object]()
    for call in calls:
        if call.name == "Ledger.take":
            assert not flying & call.keys, call
            flying |= call.keys
            taken.update(call.keys)
        elif call.name == "Senders._answered":
            flying -= call.keys
    assert not flying
    assert len(taken) >= FILMS, "all were taken, and this was seen"
    assert max(taken.values()) > 1, "an id is taken again"


def test_nothing_is_sent_twice(calls: list[Call]) -> None:
    """Each request of an id has a higher version than all before it, its batch's own."""
    last: dict[object, int] = {}
    again = False
    drawn = {call.version for call in calls if call.name == "Versions.draw"}
    for call in calls:
        if call.name == "sink.send":
            assert call.version in drawn
            for key in call.keys:
                assert last.get(key, 0) < call.version, call
                again = again or key in last
                last[key] = call.version
    assert len(last) >= FILMS, "all were sent, and this was seen"
    assert again, "an id is sent again"


def test_a_lost_answer_is_followed_by_a_new_generation(calls: list[Call]) -> None:
    """Before anything is taken; and the ids of the lost request are taken again."""
    lost: set[object] = set()
    waits = False
    seen = begun = 0
    for call in calls:
        if call.name == "Senders._answered":
            waits = waits or call.lost
            seen += call.lost
            lost = lost | call.keys if call.lost else lost - call.keys
        elif call.name == "Versions.begin":
            waits = False
        elif call.name == "Ledger.take":
            assert not waits, call
        begun += call.name == "Versions.begin"
    assert seen
    assert begun > 1, "one at the start, and one after what was lost"
    assert not lost
