"""Which meters there are, where they hang and since when."""
