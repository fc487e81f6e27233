"""What `listener check` looks at, and `run` at its start: findings with the line that mends each.

The functions take a connection or a client and return findings. They change nothing. Errors that
are the server's state (no connection, no answer) pass through: they are no findings.
"""

from listener.checks.files import check_files
from listener.checks.finding import Finding
from listener.checks.limits import check_limits
from listener.checks.privileges import check_installing, check_privileges
from listener.checks.sample import check_samples
from listener.checks.search import check_search
from listener.checks.server import check_server
from listener.checks.statements import Statement, check_statements, sample
from listener.checks.tables import check_tables

__all__ = [
    "Finding",
    "Statement",
    "check_files",
    "check_installing",
    "check_limits",
    "check_privileges",
    "check_samples",
    "check_search",
    "check_server",
    "check_statements",
    "check_tables",
    "sample",
]
