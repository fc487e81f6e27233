"""The state file and the heartbeat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listener.search.shards import Shard, change
from listener.state.file import StateError, read, write
from listener.state.heartbeat import Heartbeat, heartbeat_path, read_heartbeat, write_heartbeat
from listener.state.model import Identity, Load, Mark, State, from_json
from tests.kit.users import ordinary_user

IDENTITY = Identity(
    pipeline="movies",
    system_identifier="7382910471234567890",
    timeline=1,
    database_oid=16384,
    wal_lsn="0/16B3748",
    nonce="0123",
    config_hash="1e5",
    tables={"content.film_work": 16390},
    indexes={"movies": "Yx3-abc"},
)
MOMENT = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
STATE = State(last_processed=MOMENT, identity=IDENTITY)

WRITER = """
import sys
from pathlib import Path
from datetime import UTC, datetime, timedelta
sys.path.insert(0, {root!r})
from tests.unit.test_state import MOMENT, STATE
from listener.state.file import write

path, number = Path({path!r}), 0
while True:
    write(path, STATE.model_copy(update={{"last_processed": MOMENT + timedelta(seconds=number)}}))
    number += 1
    if number == 1:
        print("ready", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state file is."""
    return tmp_path / "state.yaml"


def test_round_trip(path: Path) -> None:
    """What is written is read, to the microsecond."""
    load = Load(
        index="movies",
        physical="movies-1",
        started_at=MOMENT,
        after=("0123", "null", "2026-01-01"),
        documents=7,
    )
    state = State(last_processed=None, identity=IDENTITY, loads=(load,))
    write(path, state)
    assert read(path) == state
    write(path, STATE)
    assert read(path) == STATE


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT, "2026-11-24T08:00:00.123456+00:00"),
        (MOMENT.replace(microsecond=0), "2026-11-24T08:00:00.000000+00:00"),
        (MOMENT.replace(microsecond=1), "2026-11-24T08:00:00.000001+00:00"),
        (MOMENT.astimezone(timezone(timedelta(hours=5.5))), "2026-11-24T08:00:00.123456+00:00"),
    ],
)
def test_the_moment_is_written_for_people(path: Path, moment: datetime, text: str) -> None:
    """Always UTC, always six digits, under a comment that says what it means."""
    write(path, State(last_processed=moment, identity=IDENTITY))
    content = path.read_text()
    assert content.startswith("# The state of `listener`.")
    assert f"\nlast_processed: {text}\n" in content
    found = read(path)
    assert found is not None
    assert found.last_processed == moment


def test_a_moment_set_by_hand(path: Path) -> None:
    """Another offset, fewer digits, Z, a space: all that YAML calls a timestamp with an offset."""
    write(path, STATE)
    written = path.read_text()
    for text in (
        "2026-11-24T10:00:00.5+02:00",
        "2026-11-24 08:00:00.5 Z",
        "2026-11-24T08:00:00.500000Z",
    ):
        path.write_text(written.replace("2026-11-24T08:00:00.123456+00:00", text))
        found = read(path)
        assert found is not None
        assert found.last_processed == MOMENT.replace(microsecond=500000)


def test_line_ends_of_unicode_survive(path: Path) -> None:
    """Found by hypothesis: written bare, U+0085 came back as a space, which is another key."""
    for text in ("\x85", "a\u2028b", "\u2029", "\ufeffa", "a\r\nb", "человек", "😀"):
        load = Load(index="i", physical="p", started_at=MOMENT, after=(text,))
        state = STATE.model_copy(update={"loads": (load,)})
        write(path, state)
        assert read(path) == state


def test_missing_is_a_first_start(path: Path) -> None:
    """Also where the folder is not there yet; the first write makes it."""
    assert read(path) is None
    nested = path.parent / "a" / "b" / "state.yaml"
    assert read(nested) is None
    write(nested, STATE)
    assert read(nested) == STATE


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("movies: Yx3-abc", "mov*: Yx3-abc", r"identity.indexes.mov*"),
        ("timeline: 1", f"timeline: {10**40}", "identity.timeline: Input should be"),
        ("2026-11-24T08:00:00.123456+00:00", "2026-11-24T08:00:00.123456", "has no offset"),
        ("2026-11-24T08:00:00.123456+00:00", "2026-11-24", "is no timestamp"),
        ("2026-11-24T08:00:00.123456+00:00", "1764000000", "is no timestamp"),
        ("2026-11-24T08:00:00.123456+00:00", "'2026-11-24T08:00:00+00:00'", "is no timestamp"),
        ("2026-11-24T08:00:00.123456+00:00", "2026-13-24T08:00:00+00:00", "is not YAML"),
        ("last_processed:", "last_procesed:", "last_processed: Field required"),
        ("last_processed:", "more: 1\nlast_processed:", "more: Extra inputs"),
        ("timeline: 1", "timeline: one", "identity.timeline: Input should be a valid integer"),
        ("wal_lsn: 0/16B3748", "wal_lsn: far", "identity.wal_lsn: String should match"),
        ("2026-11-24T08:00:00.123456+00:00", "0001-01-01T00:00:00+00:00", "no clock shows it"),
        ("last_processed:", "more: 1\nlast_processed:", "a newer listener has written it"),
        ("version: 1", "version: 2", "has version 2 and this listener reads version 1"),
        ("version: 1", "version: 0", "its last line is not `version: 1`"),
        ("version: 1", "version: true", "its last line is not `version: 1`"),
        ("version: 1", "", "its last line is not `version: 1`"),
        ("identity:", "identity: [", "is not YAML"),
    ],
)
def test_damage_is_refused(path: Path, old: str, new: str, message: str) -> None:
    """Never a silent start from zero: what, where, and the way out."""
    write(path, STATE)
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(StateError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "move it away" in str(caught.value) or "run the listener that wrote it" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"\0" * 4096, "is damaged"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"- 1\n", "it is not a state of listener"),
        (b"2026-11-24T08:00:00\n", "it is not a state of listener"),
    ],
)
def test_files_that_hold_something_else(path: Path, content: bytes, message: str) -> None:
    """Emptied by a crash of the machine, filled with zeros, an old tool's file."""
    path.write_bytes(content)
    with pytest.raises(StateError, match=message):
        read(path)


def test_every_truncation_is_refused(path: Path) -> None:
    """No beginning of a state file passes for a state."""
    load = Load(index="movies", physical="movies-1", started_at=MOMENT, after=("a", "b"))
    write(path, STATE.model_copy(update={"loads": (load,)}))
    whole = path.read_bytes()
    assert whole.endswith(b"\nversion: 1\n")
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StateError):
            read(path)


def test_a_folder_in_the_place_of_the_file(path: Path) -> None:
    """What Docker makes of a bind mount whose file is missing."""
    path.mkdir()
    with pytest.raises(StateError, match="is a folder: give state_file_name a file"):
        read(path)
    with pytest.raises(StateError, match=r"cannot write .*Is a directory"):
        write(path, STATE)
    assert list(path.parent.iterdir()) == [path]


def test_a_link_to_nowhere_is_not_a_first_start(path: Path, tmp_path: Path) -> None:
    """An unmounted volume must not look like a first start; a link stays a link."""
    target = tmp_path / "volume" / "state.yaml"
    path.symlink_to(target)
    with pytest.raises(StateError, match="is its volume mounted"):
        read(path)
    target.parent.mkdir()
    write(path, STATE)
    assert path.is_symlink()
    assert read(target) == STATE


def test_leftovers_are_removed(path: Path) -> None:
    """Of processes that were killed within a write; nothing else in the folder is touched."""
    (path.parent / ".state.yaml.0123abcd-7.tmp").write_text("half")
    others = {".state.yaml.heartbeat.0123abcd-7.tmp", "state.yaml.tmp", ".state.yaml.bak.tmp"}
    for name in others:
        (path.parent / name).write_text("not ours")
    write(path, STATE)
    assert {one.name for one in path.parent.iterdir()} == others | {"state.yaml"}


def test_threads_do_not_disturb_each_other(path: Path) -> None:
    """State and heartbeat, written at the same time, many times."""
    errors: list[BaseException] = []

    def run(heart: bool) -> None:
        try:
            for number in range(100):
                if heart:
                    write_heartbeat(path, Heartbeat(at=number, fetch_delay=1, state="serving"))
                    assert read_heartbeat(path) is not None
                else:
                    write(path, STATE)
                    assert read(path) == STATE
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n % 2 == 0,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {one.name for one in path.parent.iterdir()} == {"state.yaml", "state.yaml.heartbeat"}


@pytest.mark.long
def test_killed_within_a_write(path: Path) -> None:
    """SIGKILL anywhere in a loop of writes: there is one whole file, and its time only grows."""
    for _ in range(12):
        code = WRITER.format(root=str(Path(__file__).parents[2]), path=str(path))
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            seen: set[object] = set()
            while len(seen) < 20:  # each reading falls somewhere into a write
                assert child.poll() is None, "the writer has ended"
                state = read(path)
                assert state is not None
                assert state.identity == IDENTITY
                seen.add(state.last_processed)
            child.send_signal(signal.SIGKILL)
        state = read(path)
        assert state is not None
        assert state.last_processed is not None
        assert state.last_processed >= max(one for one in seen if isinstance(one, datetime))
    write(path, STATE)
    assert [one.name for one in path.parent.iterdir()] == ["state.yaml"]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 64 KiB."""
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Use up all room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return filler


def test_a_full_disk(tmp_path: Path) -> None:
    """The error says so, the old file is whole, nothing is left behind, and room heals it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "state.yaml"
    later = STATE.model_copy(update={"last_processed": MOMENT + timedelta(hours=1)})
    with small_disk(folder):
        write(path, STATE)
        filler = fill(folder)
        with pytest.raises(StateError, match="No space left on device"):
            write(path, later)
        with pytest.raises(StateError, match="No space left on device"):
            write_heartbeat(path, Heartbeat(at=0, fetch_delay=1, state="serving"))
        assert read(path) == STATE
        assert {one.name for one in folder.iterdir()} == {"state.yaml", "filler"}
        filler.unlink()
        write(path, later)
        assert read(path) == later


def test_a_limit_on_file_sizes(path: Path) -> None:
    """The same without the right to mount: the write fails in the middle."""
    write(path, STATE)
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.unit.test_state import STATE
from listener.state.file import StateError, write
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write(Path({str(path)!r}), STATE)
except StateError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert read(path) == STATE
    assert [one.name for one in path.parent.iterdir()] == ["state.yaml"]


def test_without_rights() -> None:
    """A folder that may not be written, a file that may not be read: with the user's number."""
    with TemporaryDirectory() as name:
        path = Path(name) / "state.yaml"
        write(path, STATE)
        path.chmod(0o600 if os.geteuid() == 0 else 0)
        path.parent.chmod(0o555)
        try:
            with ordinary_user():
                uid = os.geteuid()
                with pytest.raises(StateError, match=f"cannot write .*denied.*uid {uid}"):
                    write(path, STATE)
                with pytest.raises(StateError, match=f"cannot read .*denied.*uid {uid}"):
                    read(path)
        finally:
            path.chmod(0o600)
            path.parent.chmod(0o700)
        assert read(path) == STATE


def test_heartbeat(path: Path) -> None:
    """Written beside the state file; what cannot be read is no heartbeat."""
    assert read_heartbeat(path) is None
    beat = Heartbeat(
        at=1764000000.25,
        fetch_delay=0.5,
        state="waiting for PostgreSQL",
        last_processed=MOMENT,
        reason="connection refused",
    )
    write_heartbeat(path, beat)
    assert heartbeat_path(path).name == "state.yaml.heartbeat"
    assert read_heartbeat(path) == beat
    for content in ("", "[]", "{", '{"at": 1}', "\ud800"):
        heartbeat_path(path).write_text(content, errors="replace")
        assert read_heartbeat(path) is None


@given(
    after=st.none()
    | st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=3
    ).map(tuple),
    nonce=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    moment=st.datetimes(
        datetime(1000, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
        datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(
    path: Path, after: tuple[str, ...] | None, nonce: str, moment: datetime
) -> None:
    """Keys of users are any text; moments any microsecond."""
    state = State(
        last_processed=moment,
        identity=IDENTITY.model_copy(update={"nonce": nonce, "tables": {nonce: 1}}),
        loads=(Load(index="i", physical="p", started_at=moment, after=after),),
    )
    write(path, state)
    assert read(path) == state


WHOLE = STATE.model_copy(
    update={
        "identity": IDENTITY.model_copy(
            update={
                "ahead": 0.5,
                "control": 7,
                "meanings": {"movies": {"view a": "0"}},
                "marks": {"movies-1": Mark(shards={"0": "h p 5"}, settled=MOMENT, after=("5",))},
            }
        ),
        "loads": (Load(index="movies", physical="movies-2", started_at=MOMENT, after=("5",)),),
        "loaded": {"movies": MOMENT},
        "reconcile": {"movies": True},
    }
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in inner:
        yield (*path, name)
        if isinstance(one, dict | list):
            yield from places(one, (*path, name))


CONTENT = WHOLE.model_dump(mode="json")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63), 10**40, 1e308, float("inf"), float("nan"), 10.5]),
    st.text(max_size=12),
    st.sampled_from(
        [
            *("h p --5", "h p " + "9" * 5000, "", "*", "a,b", "a/../b", "<a-{now/d}>", "x" * 9000),
            *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-31", "\ud800"),
        ]
    ),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


@given(place=st.sampled_from(list(places(CONTENT))), value=VALUES, as_key=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
def test_any_damage_of_any_field(
    path: Path, place: tuple[Any, ...], value: Any, as_key: bool
) -> None:
    """It is told when it is read, or does no harm: neither in a path of a request nor in what is
    reckoned and written later."""
    content = json.loads(json.dumps(CONTENT))
    inside = content
    for name in place[:-1]:
        inside = inside[name]
    if as_key and isinstance(inside, dict) and isinstance(value, str):
        inside[value] = inside.pop(place[-1])
    else:
        inside[place[-1]] = value
    try:
        found = from_json(content)
    except ValueError:
        return
    names = {load.physical for load in found.loads} | {*found.identity.marks}
    assert not any(set(name) & set("*,/?<> ") for name in names)
    assert all(0 < len(name.encode()) < 256 for name in names)
    for mark in found.identity.marks.values():
        change(mark.shards, {"0": Shard("h", "p", 5, 5)})
    for by in (timedelta(hours=1), timedelta(hours=-1)):
        write(path, found.back(by))
        assert read(path) == found.back(by)


def test_a_version_that_is_none(path: Path) -> None:
    """A number of any length."""
    for number in ("0x" + "f" * 5000, "9" * 4000, "-1"):
        path.write_text(f"version: {number}\n")
        with pytest.raises(StateError, match="is damaged"):
            read(path)


def test_heartbeat_of_a_newer_listener(path: Path) -> None:
    """What it has added is no matter; what is no heartbeat is none."""
    heartbeat_path(path).write_text('{"at": 5, "fetch_delay": 1, "state": "serving", "new": []}')
    assert read_heartbeat(path) == Heartbeat(at=5, fetch_delay=1, state="serving")
    for content in ("", "5", "[" * 100_000, '{"at": NaN, "fetch_delay": 1, "state": "x"}'):
        heartbeat_path(path).write_text(content)
        assert read_heartbeat(path) is None
