"""The configuration: strict models of config.yaml. `config.settings` reads the file.

Every model refuses unknown keys. Names of tables and columns are written as they stand in the
catalog, case included; a part that itself contains a dot is put in double quotes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from listener.config.documents import DocumentConfig, Notify, Table, WatchConfig
from listener.config.servers import ElasticsearchConfig, KibanaConfig, PostgresConfig
from listener.config.values import AnyPath, Names, Strict, split_name

__all__ = [
    "BackoffConfig",
    "Config",
    "DocumentConfig",
    "ElasticsearchConfig",
    "KibanaConfig",
    "LoggingConfig",
    "Names",
    "Notify",
    "PostgresConfig",
    "Strict",
    "Table",
    "TriggersConfig",
    "WatchConfig",
    "split_name",
]


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
    published: bool = Field(
        default=False,
        description="Make listener's own tables although a publication FOR ALL TABLES carries "
        "them: each of its subscribers has them, or it would stop.",
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start > self.limit:
            raise ValueError("start is above limit")
        return self


class Config(Strict):
    """The whole file."""

    pipeline: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Name of this pipeline: of its lock and its control document.",
    )
    state_file_name: AnyPath = Field(
        default=Path("state/state.yaml"),
        validate_default=True,
        description="File of the watermark, in a folder that listener may write to.",
    )
    fetch_delay: float = Field(
        default=1.0, ge=0.05, le=3600, description="Seconds between polls and watermark ticks."
    )
    audit_every: float = Field(
        default=60.0,
        ge=0.1,
        le=3600,
        description="Seconds between looks at triggers, watched tables, aliases and mappings.",
    )
    overlap: float = Field(
        default=2.0, ge=0, le=3600, description="Seconds that each scan reaches back."
    )
    batch_documents: int = Field(default=2000, ge=1, description="Most documents of one bulk.")
    batch_bytes: int = Field(
        default=5_000_000,
        ge=1000,
        le=100_000_000,
        description="Most bytes of one bulk (a single larger document is sent alone).",
    )
    page_size: int = Field(
        default=8000, ge=1, description="Ids of one page of a full load: what a restart repeats."
    )
    pending_limit: int = Field(
        default=30_000, ge=10, description="Most changes held in memory; beyond: a sweep."
    )
    max_parked: int = Field(
        default=1000,
        ge=0,
        description="More parked documents of one index than this hold it, and the watermark.",
    )
    keep_former: float = Field(
        default=3600,
        ge=0,
        le=31_536_000,
        description="Seconds that the former index is kept and fed after a swap, for `listener "
        "rollback`; 0: not at all.",
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
        if self.overlap >= self.triggers.retention:
            raise ValueError("overlap is longer than triggers.retention")
        names = [one.index for one in self.documents]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"documents: two of them have the index {name!r}")
        if self.elasticsearch.control_index in names:
            raise ValueError("documents: an index has the name of elasticsearch.control_index")
        stamped: dict[tuple[str, str], tuple[str | None, str]] = {}
        for document in self.documents:
            for one in document.watch:
                how = (one.updated_at, one.notify)
                if stamped.setdefault(split_name(one.table), how) != how:
                    raise ValueError(
                        f"documents: {one.table} is watched twice, with different updated_at or "
                        "notify; a table has one of each"
                    )
        return self
