"""Pictures of detections."""

from detkit.visualize.crop import outlined_crop
from detkit.visualize.draw import draw_detections
from detkit.visualize.grid import picture_grid, thumbnail
from detkit.visualize.labels import Labels
from detkit.visualize.write import jpeg_bytes, write_figure, write_image

__all__ = [
    "Labels",
    "draw_detections",
    "jpeg_bytes",
    "outlined_crop",
    "picture_grid",
    "thumbnail",
    "write_figure",
    "write_image",
]
