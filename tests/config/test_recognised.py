"""DATA.ROOT sets the data set and its folder."""

import pytest

from detkit.config.load import load_config
from detkit.errors import ConfigError
from tests.data.labels.folders import FORMATS, images, put, yolo

CUSTOM = "projects/rcnn/custom.yaml"


@pytest.mark.parametrize(("name", "taken"), [("voc", "VOC"), ("coco", "COCO"), ("yolo", "YOLO")])
def test_a_folder_is_recognised(name, taken, tmp_path):
    root = str(put(tmp_path / "photos", FORMATS[name]()))
    config = load_config(CUSTOM, ["DATA.ROOT", root])
    assert (config.DATA.NAME, config.DATA[taken].ROOT) == (taken, root)
    # COCO's data are judged by COCO's numbers alone, others by VOC's first
    first = [] if taken == "COCO" else ["VOC"]
    assert config.EVALUATORS == [*first, "COCO", "ProposalRecall"]


def test_a_recipe_that_names_a_data_set_takes_the_folder_of_the_command_line(tmp_path):
    root = str(put(tmp_path / "photos", yolo()))
    assert load_config("projects/rcnn/mobilenet_svm.yaml", ["DATA.ROOT", root]).DATA.NAME == "YOLO"


def test_the_folder_takes_the_place_of_the_paths_of_the_recipe(tmp_path):
    root = str(put(tmp_path / "coco", FORMATS["coco"]()))
    coco = load_config("projects/rcnn/coco_classes.yaml", ["DATA.ROOT", root]).DATA.COCO
    assert (coco.ROOT, coco.ANNOTATIONS, coco.IMAGES, coco.CLASSES) == (root, "", "", ["cat", "dog"])


def test_what_is_named_beside_the_folder_or_later_stands(tmp_path):
    root = str(put(tmp_path / "photos", yolo()))
    assert load_config(CUSTOM, ["DATA.ROOT", root, "DATA.NAME", "VOC"]).DATA.VOC.ROOT == root
    (tmp_path / "r.yaml").write_text(f"_BASE_: {CUSTOM}\nDATA: {{ROOT: {root}}}\n")
    config = load_config(tmp_path / "r.yaml", ["DATA.VOC.ROOT=elsewhere"])
    assert (config.DATA.NAME, config.DATA.VOC.ROOT, config.DATA.YOLO.ROOT) == ("VOC", "elsewhere", "")


def test_the_config_of_a_run_is_the_same_again_when_the_folder_is_gone(tmp_path):
    root = put(tmp_path / "photos", yolo())
    config = load_config(CUSTOM, ["DATA.ROOT", str(root)])
    (tmp_path / "config.yaml").write_text(config.text())
    root.rename(tmp_path / "gone")
    again = load_config(tmp_path / "config.yaml").DATA
    assert (again.NAME, again.ROOT, again.YOLO) == ("YOLO", str(tmp_path / "photos"), config.DATA.YOLO)


def test_a_folder_of_two_formats_is_refused_with_both(tmp_path):
    root = put(tmp_path / "photos", yolo() | FORMATS["voc"]())
    with pytest.raises(
        ConfigError, match=r"may be several data sets: VOC, as .*; YOLO, as .*; add DATA.NAME=VOC or another"
    ):
        load_config(CUSTOM, ["DATA.ROOT", str(root)])


def test_a_folder_that_no_data_set_knows_keeps_the_name(tmp_path):
    config = load_config(CUSTOM, ["DATA.ROOT", str(put(tmp_path / "photos", images()))])
    assert config.DATA.NAME == "VOC"


def test_a_file_is_answered_with_what_takes_files(tmp_path):
    put(tmp_path, FORMATS["coco"]())
    (file,) = tmp_path.rglob("*.json")
    with pytest.raises(ConfigError, match=r"DATA.ROOT .*\.json is a file; give the folder .* DATA.COCO.ANNOTATIONS"):
        load_config(CUSTOM, ["DATA.ROOT", str(file)])
