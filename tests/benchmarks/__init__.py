"""Benchmarks from outside: real processes, real databases, HTTP. Run with ``make bench``."""
