"""The coordinator: sessions, ticks and polls, in the one thread that decides."""
