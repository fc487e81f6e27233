"""Fuzzing guided by coverage, by atheris: `python -m tests.fuzz.guided [--runs N] [--seed N]`.

It finds what random examples do not: texts that pass one check after the other, since each new
branch of `decode_payload` and `key_of_id` is a step on the way. Not in `make test`: atheris has no
wheel for each Python, and where it is not installed this says so and ends well.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RUNS = 2_000_000
_SEEDS = (
    '{"v":1,"w":"s.t(id)","k":["a",["b","c"]]}',
    '{"v":1,"w":"s.t(id)","sweep":true}',
    '{"v":1,"w":"s.t(id)","reconcile":true}',
    '{"v":1,"barrier":"00ff"}',
    '[1, "a"]',
    '[-9223372036854775808, "\\u00e9"]',
)
_WORDS = (
    *('{"v":1,', '"w":"s.t(id)"', '"k":[', '"sweep":true', '"reconcile":true', '"barrier":"', "]}"),
    *(
        '[1, "',
        '"]',
        "[-1, ",
        '", "',
        "\\u00e9",
        "\\ud800",
        "\\u0000",
        "9223372036854775808",
        "1.0",
        "null",
    ),
)
TARGETS = ("payload", "id")


def fuzz(target: str, arguments: list[str]) -> None:
    """Run one target in this process; libFuzzer ends it."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["json", "listener.changes"]):
        from listener import changes  # noqa: PLC0415 - what is imported here is measured

    types: tuple[changes.KeyType, ...] = ("bigint", "text")

    def payload(data: bytes) -> None:
        try:
            value = changes.decode_payload(data.decode("utf-8", "surrogatepass"))
        except (changes.PayloadError, UnicodeDecodeError):
            return
        assert isinstance(value, changes.Change | changes.BarrierPayload)

    def ident(data: bytes) -> None:
        try:
            key = changes.key_of_id(data.decode("utf-8", "surrogatepass"), types)
        except (changes.PayloadError, UnicodeDecodeError):
            return
        assert changes.key_of_id(changes.document_id(key, types), types) == key

    atheris.Setup([sys.argv[0], *arguments], {"payload": payload, "id": ident}[target])
    atheris.Fuzz()


def main() -> int:
    """Each target in a process of its own; the exit status of the first that found something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=0, help="0: a random one")
    parser.add_argument("--target", choices=TARGETS, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.target is not None:
        fuzz(options.target, rest)
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("guided by coverage: left out, atheris is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder, "words")
        words.write_text("".join(f"{json.dumps(one)}\n" for one in _WORDS))
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        for number, text in enumerate(_SEEDS):
            (seeds / str(number)).write_text(text)
        for target in TARGETS:
            command = [sys.executable, "-m", "tests.fuzz.guided", "--target", target, str(seeds)]
            command += [
                f"-runs={options.runs}",
                f"-seed={options.seed}",
                "-max_len=300",
                f"-dict={words}",
            ]
            command += [f"-artifact_prefix={target}-", "-close_fd_mask=1"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return done.returncode
            told = [
                line for line in done.stderr.splitlines() if line.startswith(("INFO: Seed", "Done"))
            ]
            print(f"guided by coverage: {target}: {'; '.join(told)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
