"""Documents: from the keys of rows to document ids, and from ids to documents as bytes."""
