"""Bytes and rows in and out, one transport a file."""
