"""Evaluators and detection files."""
