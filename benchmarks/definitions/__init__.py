"""What it costs to change a definition safely: preview, and a former index that is fed."""
