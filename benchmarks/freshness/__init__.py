"""From commit to index: how soon a change can be read and found."""
