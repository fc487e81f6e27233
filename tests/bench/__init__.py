"""Benchmarks on real servers: commands that print figures, and no tests."""
