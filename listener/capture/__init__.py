"""Capture: which rows changed, by notification and by sweep, and up to when that is certain."""
