"""Stages, their artefacts and the runner."""
