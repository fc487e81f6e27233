"""The configuration: strict models of config.yaml. How the file is read stands in `listener.settings`.

Every model refuses unknown keys. Names of tables and columns are written as they stand in the
catalog, case included; a part that itself contains a dot is put in double quotes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

Notify = Literal["rows", "doorbell", "off"]


def _as_list(value: Any) -> Any:
    """A single scalar where a list is meant: `key: id` is `key: [id]`."""
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]


class Strict(BaseModel):
    """A section of the file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def split_name(name: str) -> tuple[str, str]:
    """Split `schema.table` (schema `public` where it is missing).

    Raises ValueError where the name has an empty part, more than two parts or a stray quote.
    """
    parts: list[str] = []
    rest = name
    while True:
        if rest.startswith('"'):
            end = rest.find('"', 1)
            if end < 0:
                raise ValueError(f"{name!r}: the double quote is never closed")
            part, rest = rest[1:end], rest[end + 1 :]
        else:
            part, dot, rest = rest.partition(".")
            rest = dot + rest
        if not part or '"' in part:
            raise ValueError(f"{name!r}: write schema.table")
        parts.append(part)
        if not rest:
            break
        if not rest.startswith("."):
            raise ValueError(f"{name!r}: write schema.table")
        rest = rest[1:]
    if len(parts) > 2:
        raise ValueError(f"{name!r} has {len(parts)} parts: write schema.table")
    return ("public", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


class Table(Strict):
    """A section that names one table."""

    table: str = Field(description="Name of the table: `schema.table`, `public` if left out.")
    key: Names = Field(description="Key column, or a list of them: a composite key.")

    @field_validator("table")
    @classmethod
    def _check_table(cls, value: str) -> str:
        split_name(value)
        return value

    @field_validator("key")
    @classmethod
    def _check_key(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a column stands twice in the key")
        return value


class WatchConfig(Table):
    """A table whose rows influence a document."""

    updated_at: str | None = Field(
        default=None,
        description="Column that listener stamps (the application's own value is overwritten) and "
        "polls: timestamptz or timestamp. Left out: changes are recorded in listener's journal.",
    )
    columns: Names | None = Field(
        default=None,
        description="An UPDATE that changes none of these columns sends nothing. Default: any.",
    )
    notify: Notify = Field(
        default="rows",
        description="`rows` sends the keys with NOTIFY; `doorbell` only rings; `off` leaves it to "
        "polling. All are correct; `rows` is the fastest reader, `off` the cheapest writer.",
    )
    mapping_file: Path | None = Field(
        default=None,
        description="SQL file: takes `%(keys)s`, returns the document ids as `id`. Left out: the "
        "keys are the document ids.",
    )


class DocumentConfig(Table):
    """One kind of document: an index and the query that fills it. `table` and `key` page it."""

    index: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$",
        description="Alias under which the documents are found; the real index behind it is "
        "named ALIAS-HASH-TIME.",
    )
    index_config_file: Path = Field(
        description="JSON file with `settings` and `mappings` of the index."
    )
    query_file: Path = Field(
        description="SQL file: takes `%(ids)s`, returns the columns `id` and `document`."
    )
    ids_file: Path | None = Field(
        default=None,
        description="SQL file that pages all ids (`%(after)s`, `%(limit)s`), where they are not "
        "simply the keys of `table`.",
    )
    watch: tuple[WatchConfig, ...] = Field(
        min_length=1, description="The watched tables: every table that the query reads."
    )
    static: tuple[str, ...] = Field(
        default=(), description="Tables that the query reads and that never change."
    )

    @field_validator("static")
    @classmethod
    def _check_static(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            split_name(name)
        return value

    @model_validator(mode="after")
    def _check_watch(self) -> Self:
        for one in self.watch:
            if one.mapping_file is None and len(one.key) != len(self.key):
                raise ValueError(
                    f"watch {one.table}: its key has {len(one.key)} columns, the document's has "
                    f"{len(self.key)}; give a mapping_file, or name the columns that hold the "
                    "document's key"
                )
        return self


class PostgresConfig(Strict):
    """How to reach the primary. Several hosts are tried in turn."""

    host: Names = Field(
        default=("127.0.0.1",), description="Host, or a list of them (tried in order)."
    )
    port: Annotated[
        tuple[int, ...], BeforeValidator(lambda v: [v] if isinstance(v, int | str) else v)
    ] = Field(default=(5432,), description="Port, or one for each host.")
    dbname: str = Field(description="Database.")
    user: str = Field(description="Role; it needs no superuser rights.")
    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="As in libpq."
    )
    sslrootcert: Path | None = Field(default=None, description="CA bundle, as in libpq.")
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.port) not in (1, len(self.host)):
            raise ValueError(f"{len(self.host)} hosts but {len(self.port)} ports")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self


class ElasticsearchConfig(Strict):
    """How to reach Elasticsearch or OpenSearch."""

    urls: Names = Field(default=("http://127.0.0.1:9200",), description="Nodes, as URLs.")
    user: str | None = Field(default=None, description="User of basic authentication.")
    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    api_key: SecretStr | None = Field(default=None, description="API key, instead of a user.")
    api_key_file: Path | None = Field(default=None, description="File that holds the API key.")
    ca_certs: Path | None = Field(default=None, description="CA bundle for https.")
    fingerprint: str | None = Field(
        default=None, description="SHA-256 fingerprint of the server's CA, instead of ca_certs."
    )
    request_timeout: float = Field(
        default=15, gt=0, description="Seconds until a request counts as lost."
    )
    control_index: str = Field(
        default="listener-control",
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$",
        description="Index of the control documents, one a pipeline.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError("urls: each starts with http:// or https://")
            if "@" in url:
                raise ValueError("urls: write user and password as options, not into the URL")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("give api_key or api_key_file, not both")
        has_key = self.api_key is not None or self.api_key_file is not None
        if has_key and self.user is not None:
            raise ValueError("give user and password, or api_key, not both")
        return self


class KibanaConfig(Strict):
    """Where `listener kibana` makes the data view."""

    url: str = Field(default="http://127.0.0.1:5601", description="Kibana's address.")
    time_field: str | None = Field(
        default="updated_at", description="Time field of the data view; null for none."
    )


class LoggingConfig(Strict):
    """What the log looks like. It goes to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is written."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object a line."
    )


class TriggersConfig(Strict):
    """Who installs the triggers."""

    install: Literal["auto", "manual"] = Field(
        default="manual",
        description="`auto`: run and --once install what is missing. `manual`: they exit with 2 "
        "and the command.",
    )
    no_2pc: bool = Field(
        default=False,
        description="Allow NOTIFY although max_prepared_transactions > 0: PREPARE TRANSACTION "
        "fails after a NOTIFY.",
    )
    retention: float = Field(
        default=86400, ge=60, description="Seconds that a journal row is kept behind the watermark."
    )


class BackoffConfig(Strict):
    """Waits between tries of a server that does not answer."""

    start: float = Field(default=0.1, gt=0, description="First wait, in seconds.")
    factor: float = Field(default=2.0, ge=1, description="Growth from one wait to the next.")
    limit: float = Field(default=3.0, gt=0, description="Longest wait, in seconds.")
    give_up_after: float = Field(
        default=30.0, gt=0, description="Seconds after which --once and load give a server up."
    )


class Config(Strict):
    """The whole file."""

    pipeline: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Name of this pipeline: of its lock and its control document.",
    )
    state_file_name: Path = Field(
        default=Path("state/state.yaml"), description="File of the watermark."
    )
    fetch_delay: float = Field(
        default=1.0, ge=0.05, le=3600, description="Seconds between polls and watermark ticks."
    )
    overlap: float = Field(
        default=2.0, ge=0, le=3600, description="Seconds that each scan reaches back."
    )
    batch_documents: int = Field(default=2000, ge=1, description="Most documents of one bulk.")
    batch_bytes: int = Field(default=5_000_000, ge=1000, description="Most bytes of one bulk.")
    page_size: int = Field(
        default=8000, ge=1, description="Ids of one page of a full load: what a restart repeats."
    )
    pending_limit: int = Field(
        default=100_000, ge=10, description="Most changes held in memory; beyond: a sweep."
    )
    max_parked: int = Field(
        default=1000, ge=0, description="More parked documents than this hold the watermark."
    )
    postgres: PostgresConfig
    elasticsearch: ElasticsearchConfig = ElasticsearchConfig()
    kibana: KibanaConfig = KibanaConfig()
    logging: LoggingConfig = LoggingConfig()
    triggers: TriggersConfig = TriggersConfig()
    backoff: BackoffConfig = BackoffConfig()
    documents: tuple[DocumentConfig, ...] = Field(
        min_length=1, description="The documents of this pipeline."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [one.index for one in self.documents]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"documents: two of them have the index {name!r}")
        return self
