"""Recurrences over batches that raise alarms."""
