"""The files that a log-in needs: secrets, and the certificates that a server is judged by."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydantic import SecretStr

from listener.config import ElasticsearchConfig, PostgresConfig
from listener.config.settings.source import ConfigError, Problem


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """The secret itself: `value`, or the content of `file` without its last line's end.

    Raises ConfigError where the file cannot be read or holds nothing.
    """
    if file is None:
        return None if value is None else value.get_secret_value()
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(file, [Problem((), f"cannot read the secret: {reason}")]) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(file, [Problem((), "the file of a secret is empty")])
    if "\0" in text:
        raise ConfigError(file, [Problem((), "the secret has a NUL byte, which no server takes")])
    return text


def check_files(*sections: PostgresConfig | ElasticsearchConfig) -> None:
    """Read each file once, before anything begins: what is missing then is missing for good.

    Later, a file may be missing for the moment in which it is replaced, and is waited for.
    Raises ConfigError, which names the file.
    """
    for section in sections:
        secret(section.password, section.password_file)
        if isinstance(section, ElasticsearchConfig):
            secret(section.api_key, section.api_key_file)
        bundle = section.sslrootcert if isinstance(section, PostgresConfig) else section.ca_certs
        if isinstance(bundle, Path):
            _check_bundle(bundle)


def _check_bundle(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        reason = "it holds no certificate in PEM form"
    except OSError as error:
        reason = f"cannot read the CA's certificates: {error.strerror}"
    else:
        return
    raise ConfigError(file, [Problem((), reason)])
