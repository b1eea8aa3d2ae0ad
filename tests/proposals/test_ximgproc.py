import cv2
import pytest

from detkit.errors import ConfigError
from detkit.proposals.edge_boxes import EdgeBoxes
from detkit.proposals.selective_search import SelectiveSearch
from detkit.proposals.ximgproc import require_ximgproc


def test_opencv_contrib_has_the_module():
    assert hasattr(require_ximgproc("SelectiveSearch"), "segmentation")


@pytest.mark.parametrize("component", [SelectiveSearch, EdgeBoxes])
def test_missing_module_is_one_line_with_the_repair(monkeypatch, component):
    monkeypatch.delattr(cv2, "ximgproc")
    with pytest.raises(ConfigError) as error:
        component()
    text = str(error.value)
    assert text.startswith(f"{component.__name__} needs cv2.ximgproc") and "\n" not in text
    assert "pip install --force-reinstall opencv-contrib-python" in text
