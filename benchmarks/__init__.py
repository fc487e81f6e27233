"""`make bench`: how fast listener is, each figure beside a floor measured in the same run."""
