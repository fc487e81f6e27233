"""The application: the daemon, how its parts are put together, and how a run ends."""
