"""Triggers: install, audit, remove. What they are and why stands in docs/triggers.md."""

from listener.triggers.audit import Cause, Differences, differences, fingerprint
from listener.triggers.catalog import Busy, TriggerError
from listener.triggers.install import install, remove
from listener.triggers.own import Claim, other_pipeline, refuse_other_pipeline
from listener.triggers.plan import Installation, plan
from listener.triggers.resolve import look_up, resolve
from listener.triggers.steps import Step, script

__all__ = [
    "Busy",
    "Cause",
    "Claim",
    "Differences",
    "Installation",
    "Step",
    "TriggerError",
    "differences",
    "fingerprint",
    "install",
    "look_up",
    "other_pipeline",
    "plan",
    "refuse_other_pipeline",
    "remove",
    "resolve",
    "script",
]
