"""A city with known truth."""
