"""Versioned rules, estimates, and consumption with its quality."""
