"""Runs of one recipe that differ in some keys, compared: what questions to a paper and ablations are made of."""
