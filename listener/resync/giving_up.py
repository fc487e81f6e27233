"""Which former indexes a session gives up when it begins, and why.

Any doubt is enough. A former index never holds anything, and nothing is compared or loaded for it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from listener.documents.definition import kept_definition
from listener.documents.topology import Reassemble
from listener.resync.formers import kept_of
from listener.resync.lookout import altered_index
from listener.resync.scope import Scope
from listener.resync.survey import Survey
from listener.search.existing import Existing


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a former index is fed no more. `expired`: its time is over."""

    physical: str
    reason: str
    expired: bool = False


def given_up(survey: Survey, scope: Scope, compared: Collection[str]) -> dict[str, GivenUp]:
    """By alias, the former indexes that are not fed on.

    `compared`: aliases whose index in use is compared with the database. Raises Reassemble where no
    kind has the definition of one.
    """
    saved = survey.saved
    if saved is None:
        return {}
    found = kept_of(saved, survey.formers)
    result: dict[str, GivenUp] = {}
    for alias, one in saved.kept.items():
        if not scope.keep_former:
            result[alias] = GivenUp(one.physical, "keep_former is 0", expired=True)
        elif survey.facts.now >= one.until:
            result[alias] = GivenUp(one.physical, "its time is over", expired=True)
        elif saved.last_processed is None or survey.reasons:
            result[alias] = GivenUp(one.physical, "the history of the database is another one")
        elif alias in compared:
            result[alias] = GivenUp(one.physical, "the documents are compared with the database")
        else:
            reason = _why_doubted(survey, alias, found.get(alias))
            reason = reason or _why_not_fed(scope, alias, found[alias])
            if reason is not None:
                result[alias] = GivenUp(one.physical, reason)
    return result


def _why_doubted(survey: Survey, alias: str, found: Existing | None) -> str | None:
    """Why it may lack changes, in words; None: it does not."""
    if found is None:
        return "the index, or its write alias, is gone or is another one"
    if alias in survey.former_back:
        return survey.former_back[alias]
    if survey.known is None or found.hash not in survey.known.fed:
        return "another release of listener was at work, which did not feed it"
    return altered_index(found, survey.known)


def _why_not_fed(scope: Scope, alias: str, found: Existing) -> str | None:
    """Why nothing can feed it, in words; None: a kind can."""
    if found.pipeline != scope.pipeline:
        return "it is not marked as this pipeline's any more"
    if scope.kind_of(alias, found.hash) is not None:
        return None
    unfit = scope.unfit.get(found.hash or "")
    if unfit is None and kept_definition(alias, found.definition, found.hash) is not None:
        raise Reassemble(f"{alias}: the former index {found.name} was made by other files")
    return unfit or "its definition is not known"
