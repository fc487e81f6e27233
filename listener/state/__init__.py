"""State: how far a pipeline has come, and in whose history, in a file and in Elasticsearch."""
