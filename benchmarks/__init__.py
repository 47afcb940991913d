"""Measurements: one command a table, results in benchmarks/results/."""
