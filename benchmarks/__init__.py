"""`make bench`: how fast listener is, each figure beside a floor that was measured in the same run."""
