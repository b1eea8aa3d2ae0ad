"""Comparison of runs of one recipe that differ in some keys, for questions about a paper and ablations."""
