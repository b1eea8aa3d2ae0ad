from types import SimpleNamespace

from detkit.config import load_config
from detkit.regions.index import RegionIndex
from detkit.stages import finetune as module
from detkit.stages.finetune import Finetune


def test_the_thresholds_of_labels_reach_the_regions(recipe, monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(module, "load_network", lambda context: None)
    monkeypatch.setattr(module, "region_index", lambda *_, **how: asked.update(how) or RegionIndex.build([], [], 4))
    monkeypatch.setattr(module, "finetune", lambda *_, **how: {})
    keys = ["FINETUNE.FOREGROUND_IOU=0.7", "FINETUNE.BACKGROUND_FROM=0.1", "FINETUNE.BACKGROUND_BELOW=0.4"]
    other = SimpleNamespace(is_first=False)
    given = {"config": load_config(recipe, keys), "compute": None, "workers": 0, "folder": tmp_path, "world": other}
    Finetune()._make(SimpleNamespace(**given))
    assert asked == {"with_truths": True, "foreground_iou": 0.7, "background_from": 0.1, "background_below": 0.4}
