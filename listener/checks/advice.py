"""Lines of YAML that people can copy into their configuration. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence


def watch_lines(name: tuple[str, str], key: Sequence[str], mapped_to: str | None) -> str:
    """An entry of `watch`; `mapped_to` names the index for whose ids a mapping file is needed."""
    keys = ", ".join(_scalar(one) for one in key)
    lines = [
        "watch:",
        f"  - table: {_name(name)}",
        f"    key: {keys if len(key) == 1 else f'[{keys}]'}",
    ]
    if mapped_to is not None:
        lines.append(f"    mapping_file: FILE.sql # keys to ids of {mapped_to}")
    return "\n".join(lines)


def static_line(name: tuple[str, str]) -> str:
    """The table as an item of `static`."""
    return f"static: [{_name(name)}]"


def _name(name: tuple[str, str]) -> str:
    return _scalar(".".join(f'"{part}"' if "." in part else part for part in name))


def _scalar(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_][\w.]*", text) else json.dumps(text, ensure_ascii=False)
