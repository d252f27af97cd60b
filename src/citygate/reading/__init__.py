"""Readings as columns."""
