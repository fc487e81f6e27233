"""requirements.txt serves the README's way: a virtual environment, install, run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pinned_packages_are_all_that_it_needs(tmp_path: Path) -> None:
    """With nothing but requirements.txt installed, `python -m listener` runs from the checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    python = str(tmp_path / "bin" / "python")
    install = ["install", "--quiet", "--require-hashes", "-r", "requirements.txt"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *install], check=True, cwd=ROOT
    )
    done = subprocess.run(
        [python, "-m", "listener", "--version"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("listener ")
