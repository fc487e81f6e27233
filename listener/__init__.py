"""listener: keeps Elasticsearch documents in step with a PostgreSQL database."""

__version__ = "0.1.0"
"""Written here too, since the package may run from a checkout in which it is not installed."""


class ListenerError(Exception):
    """The root of all exceptions that are listener's own; the message is for people.

    `mend`: what mends it, where the message does not say so itself; else empty.
    """

    mend = ""

    def __init__(self, *told: object, mend: str = "") -> None:
        super().__init__(*told)
        self.mend = mend
