"""Units, times and codes that every stage speaks."""
