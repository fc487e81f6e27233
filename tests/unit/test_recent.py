"""What can be new since the last look: every row that became visible is stamped late enough, or
written by a transaction that is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from listener.capture import xids
from listener.capture.handed_on import HandedOn
from listener.capture.visibility import Recent, Snapshot, unseen

START = datetime(2026, 1, 1, tzinfo=UTC)


class Looks(RuleBasedStateMachine):
    """Writers that begin, stamp and commit in any order; looks in between."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = Recent()
        self.now = START
        self.next_xid = 100
        self.running: dict[int, list[datetime]] = {}
        self.fresh: list[datetime] = []

    def tick(self) -> datetime:
        """The clock goes on."""
        self.now += timedelta(seconds=1)
        return self.now

    @initialize(count=st.integers(0, 3))
    def before(self, count: int) -> None:
        """Some transactions are older than the first look."""
        for _ in range(count):
            self.begin()

    @rule()
    def begin(self) -> None:
        """An xid is assigned, then the first row stamped."""
        self.running[self.next_xid] = [self.tick()]
        self.next_xid += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stamp(self, data: st.DataObject) -> None:
        """One more row of an open transaction."""
        self.running[data.draw(st.sampled_from(sorted(self.running)))].append(self.tick())

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Its rows become visible."""
        self.fresh += self.running.pop(data.draw(st.sampled_from(sorted(self.running))))

    @rule()
    def look(self) -> None:
        """The clock, an xid that is burnt, the snapshot; writers are busy in between.

        A snapshot lists the running ones up to the last that has ended, hence the burnt one.
        """
        at = self.tick()
        self.begin()
        burnt, self.next_xid = self.next_xid, self.next_xid + 1
        self.begin()
        since = self.recent.seen(at, sorted(xid for xid in self.running if xid < burnt))
        if since is not None:
            assert all(stamp >= since for stamp in self.fresh)
        self.fresh.clear()

    @rule(seconds=st.integers(1, 100))
    def clock_set_back(self, seconds: int) -> None:
        """By more than has passed since the last look; less is what the overlap is for."""
        if self.recent._looked is not None:
            self.now = self.recent._looked - timedelta(seconds=seconds)
            self.look()


Looks.TestCase.settings = settings(max_examples=300, deadline=None)
TestLooks = Looks.TestCase


def test_a_transaction_over_a_clock_that_is_set_back() -> None:
    """It may stamp below the moment at which it began."""
    recent = Recent()
    recent.seen(START + timedelta(minutes=5), [])
    recent.seen(START + timedelta(minutes=6), [7])
    assert recent.seen(START, [7]) is None
    assert recent.seen(START + timedelta(minutes=1), []) is None
    assert recent.seen(START + timedelta(minutes=2), []) == START + timedelta(minutes=1)


def test_an_old_transaction_does_not_hold_it_back() -> None:
    """While it is open only what is new is read; when it ends, all since before it began."""
    recent = Recent()
    at = [START + timedelta(minutes=minute) for minute in range(6)]
    assert recent.seen(at[0], []) is None
    assert recent.seen(at[1], [7]) == at[0]
    assert recent.seen(at[2], [7]) == at[1]
    assert recent.seen(at[3], [7, 9]) == at[2]
    assert recent.seen(at[4], [9]) == at[0]
    assert recent.seen(at[5], []) == at[2]


class Ids(RuleBasedStateMachine):
    """Writers that take ids, with savepoints that take some of their own, and commit in any order.

    The ids go round meanwhile: rows show 32 bits of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.next_xid = (1 << 32) - 10
        self.ended = self.next_xid - 1
        self.running: dict[int, list[int]] = {}
        self.fresh: list[int] = []
        self.visible: list[int] = []
        self.last: Snapshot | None = None
        self.memory = HandedOn()

    def take(self) -> int:
        """The next id."""
        self.next_xid += 1
        return self.next_xid - 1

    @rule()
    def begin(self) -> None:
        """A transaction that writes."""
        xid = self.take()
        self.running[xid] = [xid]

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def savepoint(self, data: st.DataObject) -> None:
        """More rows of an open one, under an id that no snapshot lists."""
        self.running[data.draw(st.sampled_from(sorted(self.running)))].append(self.take())

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Its rows become visible."""
        own = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        self.fresh += own
        self.ended = max(self.ended, *own)

    @rule()
    def look(self) -> None:
        """All that is fresh is read; what was read before only where a transaction has ended."""
        end = self.ended + 1
        now = Snapshot(START, end, frozenset(xid for xid in self.running if xid < end))
        ids = unseen(self.last, now)
        masked = {xid: str(xid & xids.ALL[-1]) for xid in self.fresh + self.visible}
        read = [xid for xid in masked if xids.is_among(masked[xid], ids)]
        assert set(read) >= set(self.fresh)
        if self.last is not None and self.last.running <= now.running:
            assert set(read) == set(self.fresh)
        new = [xid for xid in read if self.memory.is_first_ahead((xid,), masked[xid], now.oldest)]
        assert sorted(new) == sorted(self.fresh)
        self.visible += self.fresh
        self.fresh = []
        self.last = now


Ids.TestCase.settings = settings(max_examples=300, deadline=None)
TestIds = Ids.TestCase


def test_a_look_after_the_clock_was_set_back() -> None:
    """What was past at the last one, and left to the sweeps, may be ahead now."""
    last = Snapshot(START, 10, frozenset({5}))
    assert unseen(last, Snapshot(START, 12, frozenset({5}))) == range(10, 12)
    back = Snapshot(START - timedelta(seconds=1), 12, frozenset({5}))
    assert unseen(last, back) == unseen(None, back) == xids.ALL
