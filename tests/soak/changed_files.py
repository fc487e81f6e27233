"""Faults of who changes what is indexed: another query and mapping while the daemons are away, and
the way back by `listener rollback`. Both leave files in force, not always those of the beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.kit.chaos.fault import fault
from tests.kit.chaos.restores import daemons_away, passed
from tests.kit.chaos.world import World

_WAYS: Final = ("stopped", "killed")
_FIELD: Final = "revision"
_QUERY: Final = """-- Revision {number}.
SELECT w.id, w.document::jsonb || jsonb_build_object('{field}', {number}) AS document
FROM (
{original}
) AS w
"""
_REVISED: Final = re.compile(r"\A-- Revision .*?FROM \(\n(.*)\n\) AS w\n\Z", re.DOTALL)
_NO_FORMER: Final = 2
_SWAP: Final = 60
"""Seconds for a load under writers, until its index is searched."""
_BACK: Final = 180
"""Seconds for a rollback: it waits for a daemon, or catches up itself."""

Document = dict[str, Any]


def query_changed(world: World, choice: Random) -> None:
    """The daemons come back with other files of one document or of several: another query, and a
    field that the mapping before would refuse. At times they go once more midway."""
    documents = world.scene.options["documents"]
    chosen = choice.sample(documents, choice.randint(1, 2))
    number = choice.randint(1, 1_000_000)
    with daemons_away(world, choice.choice(_WAYS)):
        for document in chosen:
            _revise(world, document, number)
    if choice.random() < 0.5:
        world.rest(choice.uniform(0, 3))
        with daemons_away(world, "killed"):
            pass
    told = ", ".join(document["index"] for document in chosen)
    world.tell(f"query_changed: {told}: revision {number}")


def rolled_back(world: World, choice: Random) -> None:
    """After a changed query people go back, beside the daemons or while they are away. Then the
    files are put right."""
    document = choice.choice(world.scene.options["documents"])
    alias = document["index"]
    swapped = _swapped(world, document) and passed(world)  # else none is kept: it may lack changes
    with daemons_away(world, choice.choice(_WAYS)):
        _revise(world, document, choice.randint(1, 1_000_000))
    if not (swapped and _swapped(world, document)):
        world.tell(f"rolled_back: {alias} was not swapped in time")
        return
    alone = choice.random() < 0.3
    seat = world.active
    for each in world.seats if alone else ():
        each.kill()
    try:
        process = seat.command("rollback", alias)
        world.wait(lambda: not process.running, seconds=_BACK, what="the end of a rollback")
        status = process.exit_status(5)
        seat.bury(process)
        with daemons_away(world, choice.choice(_WAYS)):
            found = _files_of(world, alias, _in_force(world, alias))
            if found is not None:
                document |= found
            elif status != _NO_FORMER:  # a request that is on its way must not find these files
                _revise(world, document, choice.randint(1, 1_000_000))
    finally:
        for each in world.seats:
            each.start()
    way = "alone" if alone else "beside"
    went = "went back" if found is not None else "stayed"
    world.tell(f"rolled_back: {alias} {way}, status {status}, {went}")


def former_definitions(world: World, folder: Path) -> list[Document]:
    """The documents of the former indexes that are fed: each with the query that the index keeps,
    in a file in `folder`, and with the name of the index instead of the alias."""
    folder.mkdir(exist_ok=True)
    found = []
    for document in world.scene.options["documents"]:
        for name, query in _queries(world, f"{document['index']}.f*"):
            path = folder / f"{name}.sql"
            path.write_text(query, "utf-8")
            found.append({**document, "index": name, "query_file": str(path)})
    return found


def _revise(world: World, document: Document, number: int) -> None:
    """Give it files that say the same and a number. Those before are kept, to be gone back to."""
    folder = world.scene.folder / "edited"
    folder.mkdir(exist_ok=True)
    alias = document["index"]
    text = Path(document["query_file"]).read_text("utf-8")
    body = json.loads(Path(document["index_config_file"]).read_text("utf-8"))
    (folder / f"{alias}-before-{number}.json").write_text(
        json.dumps({name: document[name] for name in ("query_file", "index_config_file")}), "utf-8"
    )
    revised = _REVISED.search(text)
    query, mapping = (folder / f"{alias}-{number}{end}" for end in (".sql", ".mapping.json"))
    query.write_text(
        _QUERY.format(number=number, field=_FIELD, original=revised[1] if revised else text),
        "utf-8",
    )
    body["mappings"]["properties"][_FIELD] = {"type": "integer"}
    mapping.write_text(json.dumps(body), "utf-8")
    document |= {"query_file": str(query), "index_config_file": str(mapping)}


def _swapped(world: World, document: Document) -> bool:
    """Wait until the index in use is made by its files; whether that was in time."""
    query = Path(document["query_file"]).read_text("utf-8")
    return world.wait(lambda: _in_force(world, document["index"]) == query, seconds=_SWAP)


def _files_of(world: World, alias: str, query: str | None) -> Mapping[str, str] | None:
    """The files before that said this; None: none did."""
    for path in sorted((world.scene.folder / "edited").glob(f"{alias}-before-*.json")):
        files: dict[str, str] = json.loads(path.read_text("utf-8"))
        if Path(files["query_file"]).read_text("utf-8") == query:
            return files
    return None


def _in_force(world: World, alias: str) -> str | None:
    """The query that the index in use was made by."""
    return next((query for _, query in _queries(world, alias)), None)


def _queries(world: World, indexes: str) -> Iterator[tuple[str, str]]:
    """Of these indexes, the query that each keeps."""
    for name in world.answer("GET", f"/_alias/{indexes}"):
        answer = world.answer("GET", f"/{name}/_mapping").get(name, {})
        own = answer.get("mappings", {}).get("_meta", {}).get("listener", {})
        query = own.get("definition", {}).get("query", {}).get("text")
        if query is not None:
            yield name, query


FAULTS = (
    fault(query_changed, "daemons", "index", "search"),
    fault(rolled_back, "daemons", "index", "search", rare=True),
)
