"""Processes that join stages: every input is counted once."""
