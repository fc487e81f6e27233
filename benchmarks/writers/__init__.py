"""What the writers pay: throughput and statements with triggers, beside none."""
