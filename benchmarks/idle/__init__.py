"""A quiet database: what the daemon costs where nothing changes."""
