"""The log-in: the header of each request, from a secret that may be replaced at any time."""

from __future__ import annotations

import base64
import contextlib
import re
from pathlib import Path
from typing import Final

from listener.config import ElasticsearchConfig
from listener.config.settings import ConfigError, Problem, secret
from listener.search.errors import Away

_KEY: Final = re.compile(r"[!-~]+")


class LoginAway(Away):
    """The log-in was refused, and the file of its secret cannot be read now."""


class Login:
    """The header of the log-in, from a secret that may be replaced while listener runs.

    A file is read again where it changed, and after each refusal: a new password needs no restart.
    While the file is missing or empty, as it is for the moment in which it is replaced, the former
    secret goes on. Its methods are for any thread.
    """

    def __init__(self, config: ElasticsearchConfig) -> None:
        """Raises ConfigError where the secret cannot be read, or is none."""
        self._config = config
        self._file = config.password_file or config.api_key_file
        self._seen = self._stamp()
        self._header = self._read()

    def header(self) -> str | None:
        """What to send now; None without a log-in."""
        if self._file is not None:
            seen = self._stamp()
            if seen is not None and seen != self._seen:
                with contextlib.suppress(ConfigError):
                    self._header, self._seen = self._read(), seen
        return self._header

    def refused(self) -> None:
        """The server did not take it: look into the file before the next request, whatever its
        date says. Raises LoginAway where it cannot be read.
        """
        self._seen = None
        if self._file is not None:
            try:
                self._read()
            except ConfigError as error:
                raise LoginAway(f"401, and {error}") from None

    def _stamp(self) -> tuple[int, ...] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> str | None:
        config = self._config
        key = secret(config.api_key, config.api_key_file)
        if key is not None:
            if not _KEY.fullmatch(key):
                place = config.api_key_file or Path("elasticsearch.api_key")
                raise ConfigError(place, [Problem((), "an API key is one word of ASCII")])
            # id and key as they are shown apart; the server wants them together, encoded
            return f"ApiKey {_encoded(key) if ':' in key else key}"
        password = secret(config.password, config.password_file)
        return None if config.user is None else f"Basic {_encoded(f'{config.user}:{password}')}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
