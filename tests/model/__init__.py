"""A model of the write protocol, explored exhaustively; docs/model.md explains it."""
