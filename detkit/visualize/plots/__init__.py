"""Plots of a run: functions from arrays to a matplotlib Figure, one family a file."""
