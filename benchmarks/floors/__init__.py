"""Floors: scripts that do nothing but what cannot be left out. Each is a process of its own."""
