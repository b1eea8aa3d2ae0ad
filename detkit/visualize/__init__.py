"""Pictures of detections."""

from detkit.visualize.draw import draw_detections
from detkit.visualize.grid import picture_grid
from detkit.visualize.labels import Labels
from detkit.visualize.write import write_figure, write_image

__all__ = ["Labels", "draw_detections", "picture_grid", "write_figure", "write_image"]
