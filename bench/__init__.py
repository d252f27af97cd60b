"""Benchmarks that compare Citygate with a peer or a bound in the same run, and keep the ratios."""
