"""Storms of changes: how many documents a second, beside plain bulks."""
