"""A detector of blood cells: ``detkit.load("blood_cells")``."""

from pathlib import Path

MODEL = Path(__file__).parent / "model"
"""The folder of the model, which the entry point ``detkit.models`` names."""
