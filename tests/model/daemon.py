"""The daemon's pipeline: take the id, draw the version, read, send, settle by the answer."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model import servers
from tests.model.rules import DRAW, READ, TAKE, Rules
from tests.model.servers import DONE, FENCED, RETRY, Step
from tests.model.states import (
    BULK,
    FREE,
    SPAN,
    Batch,
    Daemon,
    Message,
    State,
)


def steps(s: State, number: int, rules: Rules) -> Iterator[Step]:
    """What the worker and the senders of one daemon may do."""
    d = s.daemons[number]
    if s.base.unheard and s.base.lock == number:
        heard = s._replace(base=s.base._replace(unheard=False))
        kinds = d.open if rules.routes_all else d.open & 1 << max(d.current, 0)
        yield "Pipeline.add", heard.with_daemon(number, d._replace(pending=d.pending | kinds))
    flies = d.batches[-1].done
    if d.page == 1 and flies and not d.paused and d.work is None and not d.lost:
        yield "Ledger.add_page", s.with_daemon(number, ridden(d))
    for place, batch in enumerate(d.batches):
        if batch.done < 3:
            yield from _worker(s, number, place, rules)
    for message in s.net:
        if message.owner == number and message.kind == BULK:
            yield from _answers(s, message, rules)


def draws(s: State, rules: Rules) -> Step | None:
    """A draw that touches nothing but its own daemon: when it is made makes no difference."""
    if rules.workers > 1 or rules.xid_version:
        return None
    for number, d in enumerate(s.daemons):
        for place, batch in enumerate(d.batches):
            if 0 < batch.done < 3 and rules.order[batch.done] == DRAW:
                return f"{'AB'[number]}: {DRAW}", _sent(
                    _drawn(s, number, place, rules), number, place, rules
                )
    return None


def ridden(d: Daemon) -> Daemon:
    """The load's page waits for the same id as a change."""
    return d._replace(pending=d.pending | 1 << d.kinds[-1], riding=True, page=2)


def _may_take(d: Daemon, kind: int) -> bool:
    # while fenced out it would only be refused again: the session that follows is waited for
    stopped = d.paused or d.work is not None or d.lost or d.fenced
    return not stopped and d.role_of(kind) != 0


def _worker(s: State, number: int, place: int, rules: Rules) -> Iterator[Step]:
    d = s.daemons[number]
    batch = d.batches[place]
    if batch.done == 0:
        reading = sum(0 < one.done < 3 for one in d.batches)
        if not _may_take(d, d.kinds[place]) or reading >= rules.workers:
            return
    step = rules.order[batch.done]
    if step == TAKE:
        yield from _take(s, number, place)
    elif step == DRAW:
        yield DRAW, _sent(_drawn(s, number, place, rules), number, place, rules)
    elif step == READ:
        if rules.flushes:
            s = servers.flushed(s)
        read = batch._replace(content=s.base.content, done=batch.done + 1)
        yield READ, _sent(s.with_daemon(number, with_batch(d, place, read)), number, place, rules)


def _take(s: State, number: int, place: int) -> Iterator[Step]:
    d = s.daemons[number]
    kind = d.kinds[place]
    batch = d.batches[place]._replace(
        alias=d.alias, role=d.role_of(kind), done=d.batches[place].done + 1
    )
    if d.pending & 1 << kind:
        taken = batch._replace(job=d.riding and kind == d.kinds[-1])
        riding = d.riding and kind != d.kinds[-1]
        after = d._replace(pending=d.pending & ~(1 << kind), riding=riding)
        yield TAKE, s.with_daemon(number, with_batch(after, place, taken))
    if d.page == 1 and kind == d.kinds[-1]:
        taken = batch._replace(job=True)
        yield (
            "Ledger.add_page",
            s.with_daemon(number, with_batch(d._replace(page=2), place, taken)),
        )


def _drawn(s: State, number: int, place: int, rules: Rules) -> State:
    d = s.daemons[number]
    batch = d.batches[place]
    if rules.xid_version:
        version, counter = s.base.xid, d.counter
    else:
        counter = d.counter + 1
        version = d.generation * SPAN + counter
    drawn = batch._replace(version=version, done=batch.done + 1)
    return s.with_daemon(number, with_batch(d._replace(counter=counter), place, drawn))


def with_batch(d: Daemon, place: int, batch: Batch) -> Daemon:
    """The daemon with another batch."""
    batches = list(d.batches)
    batches[place] = batch
    return d._replace(batches=tuple(batches))


def _sent(s: State, number: int, place: int, rules: Rules) -> State:
    """Senders.dispatch: sent at once where the last step is done; it may be long on its way."""
    d = s.daemons[number]
    batch = d.batches[place]
    if batch.done < 3:
        return s
    by = d.kinds[place] if rules.own_query else max(d.current, d.loading)
    return s.sending(
        Message(BULK, number, place, batch.alias, batch.role, batch.version, batch.content, by)
    )


def _answers(s: State, message: Message, rules: Rules) -> Iterator[Step]:
    """The request is executed and answered; or refused for want of room; or not answered."""
    number, place = message.owner, message.place
    after, verdict = servers.bulk(s, message, rules)
    after = after.without(message)
    yield "Senders._answered", settled(after, number, place, verdict, _highest(after))
    if not s.left.faults:
        return
    s = s._replace(left=s.left._replace(faults=s.left.faults - 1))
    refused = s.without(message)
    yield "Senders._answered (429, or read too long ago)", settled(refused, number, place, RETRY)
    if rules.sends_again:
        again = servers.given_up(s, message).sending(message)
        yield "sends the same bytes again", again
    else:
        d = s.daemons[number]
        lost = s.with_daemon(number, d._replace(lost=d.lost or rules.renews))
        unanswered = servers.given_up(lost, message)
        verdict = RETRY if rules.gives_back else DONE
        yield "Senders._answered (no answer)", settled(unanswered, number, place, verdict)


def settled(s: State, number: int, place: int, verdict: str, above: int = 0) -> State:
    """Settlement.each: done, or given back to be read again."""
    d = s.daemons[number]
    batch = d.batches[place]
    bit = 1 << d.kinds[place]
    d = with_batch(d, place, FREE)
    if verdict == DONE:
        if batch.job:
            return page_done(s.with_daemon(number, d), number)
        return s.with_daemon(number, d)
    current = batch.version // SPAN >= d.generation
    d = d._replace(pending=d.pending | bit, riding=d.riding or batch.job)
    if verdict == FENCED:
        d = d._replace(fenced=d.fenced or current, above=above if above > d.generation else 0)
    return s.with_daemon(number, d)


def _highest(s: State) -> int:
    """What a 409 tells: the generation of what is stored."""
    return max(index.version // SPAN for index in s.indexes)


def page_done(s: State, number: int) -> State:
    """Loader.pages: the page is acknowledged; saved where our generation is in force."""
    d = s.daemons[number]._replace(page=0, load=2)
    return save_load(s.with_daemon(number, d), number)


def save_load(s: State, number: int) -> State:
    """Keeper.save_control: how far the load is, for whoever takes over."""
    d = s.daemons[number]
    return s._replace(saved=d.load, noted=d.known) if s.control == d.generation else s
