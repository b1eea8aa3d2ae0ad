"""The kinds of results that stages give each other, and the files that a result of each kind holds.

A stage names its kind in ``gives`` and the kinds that it reads in ``needs``. A stage that gives a kind writes its
files. A project may add kinds of its own: a kind is a word, and its files are an agreement of writer and readers.
"""

from __future__ import annotations

NETWORK = "network"
PROPOSALS = "proposals"
FEATURES = "features"
CLASSIFIER = "classifier"
BOX_HEAD = "box_head"
CALIBRATION = "calibration"
DETECTIONS = "detections"
METRICS = "metrics"

NETWORK_FILE = "network.safetensors"
"""Of a network: the backbone's tensors, with their preprocessing."""
HEADS_FILE = "heads.safetensors"
"""Of a network that was tuned: its heads, ``NAME.weight`` (outputs, D) and ``NAME.bias`` (outputs,)."""
ACCURACY_FILE = "accuracy.json"
"""Of a network that was trained on classified pictures: top-1 and top-5."""
PROPOSALS_FILE = "proposals.safetensors"
"""Of proposals: ``boxes``, ``objectness`` and ``offsets``, see ``shards.merge_images``."""
CLASSIFIER_FILE = "classifier.safetensors"
"""Of a classifier: the tensors of its ``state``."""
BOX_HEAD_FILE = "box_head.safetensors"
"""Of a box head: the tensors of its ``state``."""
REPORT_FILE = "report.json"
"""Of a classifier, a box head and a calibration: what a reader should know of it."""
CALIBRATION_FILE = "calibration.safetensors"
"""Of a calibration: thresholds and curves; its report says what they were learnt from."""
DETECTIONS_FILE = "detections.safetensors"
"""Of detections: ``boxes``, ``scores``, ``labels``, ``rows`` and ``offsets``."""
UNREFINED_FILE = "before_box_head.safetensors"
"""Of detections: the same without the box head."""
TRACE_FILE = "trace.safetensors"
"""Of detections: the candidates inside the cap per image, before the cap over the set, NMS and clipping, for ``detkit
diagnose``: of each ``rows``, ``labels``, ``scores``; ``refined`` and ``refined_scores`` of those inside the cap over
the set; ``limits`` of that cap by class; and ``offsets``."""
RESULTS_FILE = "results.json"
"""Of metrics: ``num_images``, ``metrics`` and ``metrics_before_box_head``."""
