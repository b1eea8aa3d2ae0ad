"""The small frozen values that pass between components."""

from detkit.structures.boxes import Boxes
from detkit.structures.detections import Detections
from detkit.structures.proposals import Proposals
from detkit.structures.sample import OTHER_CLASS, Annotations, Sample
from detkit.structures.suppression import nms

__all__ = ["OTHER_CLASS", "Annotations", "Boxes", "Detections", "Proposals", "Sample", "nms"]
