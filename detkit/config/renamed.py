"""Keys that were renamed."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, str] = {
    "REGION_EXTRACTOR.WarpedCrops.PIXELS": (
        "It became REGION_EXTRACTOR.WarpedCrops.FINETUNE_PIXELS, of the crops that the network is fine-tuned on, and "
        "REGION_EXTRACTOR.WarpedCrops.FEATURE_PIXELS, of those whose features are taken."
    ),
}
"""For each key that is gone, in full ("FINETUNE.LR"), a sentence that names the key or keys to write instead."""
