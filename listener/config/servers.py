"""The sections of the servers: PostgreSQL, Elasticsearch, Kibana."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from listener.config.values import AnyPath, Listed, Ports, Strict, Text, refuse_log_in


def _check_url(url: str, *, needs_port: bool) -> None:
    """Raise ValueError, without the URL's text, where it is no http(s) URL or holds a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("a URL's host or port is not valid") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL starts with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("write user and password as options, not into the URL")
    # what stands before such a sign may be a part of a password
    if any(sign in url for sign in "@?#\\"):
        raise ValueError("a URL has no @, ?, # or backslash: a log-in is written as options")
    if port is None and needs_port:  # the client guesses none
        raise ValueError(f"write the port into the URL: {parts.scheme}://{parts.hostname}:PORT")


class PostgresConfig(Strict):
    """How to reach the primary. Several hosts are tried in turn."""

    host: Listed = Field(
        default=("127.0.0.1",), description="Host, or a list of them (tried in order)."
    )
    port: Ports = Field(default=(5432,), description="Port, or one for each host.")
    dbname: Text = Field(description="Database.")
    user: Text = Field(description="Role; it needs no superuser rights.")
    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: AnyPath | None = Field(
        default=None, description="File that holds the password, instead of `password`."
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="As in libpq."
    )
    sslrootcert: AnyPath | Literal["system"] | None = Field(
        default=None, description="CA bundle, or `system`, as in libpq."
    )
    target_session_attrs: Literal["any", "read-write", "primary"] = Field(
        default="read-write", description="As in libpq: which of several hosts will do."
    )
    connect_timeout: int = Field(default=5, ge=2, description="Seconds for each host.")
    db_schema: str = Field(
        default="listener",
        alias="schema",
        pattern=r"^[a-z_][a-z0-9_]{0,40}$",
        description="Schema of listener's own objects; one for each pipeline. Also the channel.",
    )

    @field_validator("host", "dbname", "user")
    @classmethod
    def _check_text(cls, value: str | tuple[str, ...], info: ValidationInfo) -> object:
        for text in (value,) if isinstance(value, str) else value:
            refuse_log_in(str(info.field_name), text)
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.port) not in (1, len(self.host)):
            raise ValueError(f"{len(self.host)} hosts but {len(self.port)} ports")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self


def _without_colons(value: object) -> object:
    return value.replace(":", "").lower() if isinstance(value, str) else value


Fingerprint = Annotated[str, BeforeValidator(_without_colons), Field(pattern=r"^[0-9a-f]{64}$")]


class ElasticsearchConfig(Strict):
    """How to reach Elasticsearch or OpenSearch."""

    urls: Listed = Field(
        default=("http://127.0.0.1:9200",), description="Nodes, as URLs with their ports."
    )
    user: Text | None = Field(default=None, description="User of basic authentication.")
    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: AnyPath | None = Field(
        default=None, description="File that holds the password, instead of `password`."
    )
    api_key: SecretStr | None = Field(default=None, description="API key, instead of a user.")
    api_key_file: AnyPath | None = Field(
        default=None, description="File that holds the API key, instead of `api_key`."
    )
    ca_certs: AnyPath | None = Field(default=None, description="CA bundle for https.")
    fingerprint: Fingerprint | None = Field(
        default=None, description="SHA-256 fingerprint of the server's CA, instead of `ca_certs`."
    )
    request_timeout: float = Field(
        default=15, gt=0, description="Seconds until a request counts as lost."
    )
    control_index: str = Field(
        default="listener-control",
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$",
        description="Index of the control documents, one a pipeline.",
    )

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            _check_url(url, needs_port=True)
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("give api_key or api_key_file, not both")
        has_key = self.api_key is not None or self.api_key_file is not None
        has_password = self.password is not None or self.password_file is not None
        if has_key and (self.user is not None or has_password):
            raise ValueError("give user and password, or api_key, not both")
        if self.user is not None and ":" in self.user:
            raise ValueError("a user's name has no colon: what follows one is the password")
        if has_password != (self.user is not None):
            raise ValueError("give both user and password, or neither")
        if self.ca_certs is not None and self.fingerprint is not None:
            raise ValueError("give ca_certs or fingerprint, not both")
        if (self.ca_certs or self.fingerprint) and not all(
            url.startswith("https:") for url in self.urls
        ):
            raise ValueError("ca_certs and fingerprint are for urls that start with https://")
        return self


class KibanaConfig(Strict):
    """Where `listener kibana` makes the data views. It logs in as `elasticsearch` says."""

    url: str = Field(
        default="http://127.0.0.1:5601", description="Kibana's address, its base path included."
    )
    time_field: str | None = Field(
        default="updated_at",
        description="Time field of the data views of those indexes that have it as a date; none "
        "for none.",
    )

    @field_validator("url")
    @classmethod
    def _check(cls, value: str) -> str:
        _check_url(value, needs_port=False)
        return value.rstrip("/")
