"""Indexing: pending changes become batches, bulk requests, and a verdict for each document."""
