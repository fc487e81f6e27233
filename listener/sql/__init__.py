"""Our own SQL: one file a statement."""
