"""Regions: labels, samplers and feature extractors."""
