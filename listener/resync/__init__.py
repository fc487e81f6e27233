"""Resync: full loads, comparisons, and what decides that one is needed."""
