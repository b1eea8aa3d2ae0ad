"""The projects that come with detkit, as packages: ``detkit.projects.rcnn`` is the folder ``projects/rcnn``."""

from detkit.config.paths import recipes_folder

__path__ = [str(recipes_folder() / "projects")]
