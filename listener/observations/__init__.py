"""Observations: what happened and is worth telling, and how it is written."""
