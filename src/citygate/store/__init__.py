"""Readings, records and rollups on disk."""
