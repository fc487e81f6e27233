"""Growth of the data: whether what listener costs grows with the tables."""
