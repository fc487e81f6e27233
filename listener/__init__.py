"""listener: keeps Elasticsearch documents in step with a PostgreSQL database."""

from importlib.metadata import version

__version__ = version("listener")
