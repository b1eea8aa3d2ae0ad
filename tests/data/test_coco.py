import json
import re

import pytest

from detkit.data.coco import COCO
from detkit.errors import ConfigError, DataError
from detkit.structures import OTHER_CLASS


@pytest.fixture
def instances(tmp_path, picture):
    """Two images of 60x40 pixels; categories 7 and 3; a dog, a crowd of cats, and an image without anything."""
    picture(tmp_path / "images" / "010.png")
    picture(tmp_path / "images" / "sub" / "2.png", value=7)
    return {
        "images": [
            {"id": 10, "file_name": "010.png", "height": 40, "width": 60},
            {"id": 2, "file_name": "sub/2.png", "height": 40, "width": 60},
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 5, "image_id": 10, "category_id": 7, "bbox": [1.5, 2, 10, 20.25], "segmentation": [[1, 2]]},
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1},
        ],
    }


@pytest.fixture
def load(tmp_path):
    def load(data, on_bad="stop", **keys):
        (tmp_path / "instances.json").write_text(data if isinstance(data, str) else json.dumps(data))
        file = str(tmp_path / "instances.json")
        images = str(tmp_path / "images")
        return COCO(splits=("all",), on_bad=on_bad, needs_images=True, annotations=file, images=images, **keys)

    return load


def test_width_and_height_become_exclusive_corners(load, instances):
    assert load(instances)[0].annotations.boxes.tensor.tolist() == [[1.5, 2, 11.5, 22.25], [0, 0, 60, 40]]


def test_labels_are_in_the_order_of_the_category_numbers(load, instances):
    dataset = load(instances)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (3, 7)
    assert dataset[0].annotations.labels.tolist() == [1, 0]


def test_crowds_are_flagged_and_nothing_is_difficult(load, instances):
    truths = load(instances)[0].annotations
    assert truths.crowd.tolist() == [False, True]
    assert not truths.difficult.any()


def test_classes_choose_among_the_categories_in_their_order(load, instances):
    assert load(instances, classes=["dog", "cat"]).category_ids == (7, 3)
    with pytest.raises(
        DataError, match=r"annotation 1 of image 10 \(010\.png\) \(cat\) is of no class in DATA\.COCO\.CLA"
    ):
        load(instances, classes=["dog"])
    kept = load(instances, classes=["dog"], other_classes="ignore")
    assert (kept.class_names, kept.category_ids) == (("dog",), (7,))
    assert kept[0].annotations.labels.tolist() == [0, OTHER_CLASS]
    assert kept.warnings[0].endswith(
        "1 of 2 objects (50.0%) are of other classes than DATA.COCO.CLASSES (1 cat); "
        "OTHER_CLASSES: ignore keeps their images; nothing is learnt there or judged"
    )
    assert load(instances, classes=["dog"], other_classes="drop")[0].annotations.labels.tolist() == [0]
    with pytest.raises(DataError, match=r"DATA\.COCO\.CLASSES: no category 'cta' in .*\. Did you mean cat\?"):
        load(instances, classes=["cta"])


def test_the_area_is_the_files_and_the_boxs_where_it_gives_none(load, instances):
    instances["annotations"][0]["area"] = 81.25
    # the crowd has none: 60 x 40
    assert load(instances)[0].annotations.area.tolist() == [81.25, 2400]


def test_images_keep_their_file_order_numbers_and_names(load, instances):
    dataset = load(instances)
    assert dataset.image_numbers == (10, 2)
    assert [sample.image_id for sample in dataset] == ["010", "sub/2"]
    assert len(dataset[1].annotations) == 0


def test_numbers_stay_with_their_images_when_one_is_left_out(load, instances, tmp_path):
    (tmp_path / "images" / "010.png").write_bytes(b"")
    dataset = load(instances, on_bad="skip")
    assert dataset.image_numbers == (2,)
    assert re.match(r"010: .*010\.png: cannot read the image: the file is empty", dataset.skipped[0])


def test_a_file_without_annotations_gives_images_without_ground_truths(load, instances):
    del instances["annotations"]
    assert [sample.annotations for sample in load(instances)] == [None, None]


def test_another_size_than_the_images_is_a_line(load, instances):
    instances["images"][1]["width"] = 61
    assert [line.split("instances.json: ")[1] for line in load(instances).warnings] == [
        "image 2: gives 61x40 pixels, its image has 60x40"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"bbox": [1, 2, 0, 5]},
            "annotation 5 of image 10 (010.png) has no area: bbox [1, 2, 0, 5] (x, y, width, height)",
        ),
        ({"bbox": [1, 2, 5, -3]}, "annotation 5 of image 10 (010.png) has no area"),
        ({"bbox": [1, 2, 5]}, "annotation 5 of image 10 (010.png) has bbox [1, 2, 5]; expected four finite numbers"),
        ({"bbox": [1, 2, 5, float("nan")]}, "has bbox [1, 2, 5, nan]; expected four finite numbers"),
        ({"bbox": [70, 2, 5, 5]}, "annotation 5 of image 10 (010.png) has no area in the image of 60x40 pixels"),
        ({"category_id": 4}, "annotation 5 of image 10 (010.png) has category_id 4; expected one of [3, 7]"),
        ({"iscrowd": 2}, "annotation 5 of image 10 (010.png) has iscrowd 2; expected 0 or 1"),
        ({"area": -1}, "annotation 5 of image 10 (010.png) has area -1; expected a number of pixels, 0 or more"),
        ({"area": "9"}, "annotation 5 of image 10 (010.png) has area '9'; expected a number of pixels, 0 or more"),
    ],
)
def test_a_broken_annotation_stops_by_name_or_leaves_its_image_out(load, instances, change, message):
    instances["annotations"][0].update(change)
    with pytest.raises(DataError, match=re.escape(message)):
        load(instances)
    dataset = load(instances, on_bad="skip")
    assert len(dataset) == 1 and message in dataset.skipped[0]


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        ("images", {"id": 2}, "image id 2 stands there twice"),
        ("images", {"id": "x"}, "image 0 has id 'x'; expected a whole number"),
        ("images", {"file_name": "../010.png"}, "has file_name '../010.png'; expected a path inside the image folder"),
        ("images", {"file_name": "/010.png"}, "has file_name '/010.png'; expected a path inside the image folder"),
        ("images", {"file_name": None}, "image 0 has file_name None; expected the path of a file"),
        ("categories", {"id": 3}, "category id 3 stands there twice"),
        ("categories", {"name": "cat"}, "category name 'cat' stands there twice"),
        ("categories", {"name": 1}, "category 0 has id 7, name 1; expected a whole number and a text"),
        ("annotations", {"id": 1}, "annotation id 1 stands there twice"),
        ("annotations", {"id": None}, "annotation 0 has id None; expected a whole number"),
        ("annotations", {"image_id": 3}, "annotation 5 has image_id 3, which is not among the images"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(load, instances, where, change, message):
    instances[where][0].update(change)
    with pytest.raises(DataError, match=re.escape(message)):
        load(instances, on_bad="skip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [\n', "instances.json:2: not readable as JSON"),
        ("[]", "not an instances file; expected a JSON object with the lists images and categories"),
        ('{"images": []}', "not an instances file"),
        ('{"images": [], "categories": [], "annotations": 1}', "annotations is no list of objects"),
        ('{"images": [], "categories": []}', "data set COCO: no image to use: the split is empty"),
    ],
)
def test_a_file_that_is_no_instances_file_is_refused(load, text, message):
    with pytest.raises(DataError, match=message):
        load(text)


def test_the_name_of_the_split_is_put_into_the_paths(tmp_path, picture, instances):
    del instances["annotations"]
    for split, number in (("train", 1), ("val", 2)):
        picture(tmp_path / split / f"{number}.png", value=number)
        images = [{"id": number, "file_name": f"{number}.png"}]
        (tmp_path / f"i_{split}.json").write_text(json.dumps({**instances, "images": images}))
    keys = {"annotations": str(tmp_path / "i_{split}.json"), "images": str(tmp_path / "{split}")}
    assert COCO(splits=("val", "train"), on_bad="stop", needs_images=True, **keys).image_numbers == (2, 1)
    other = {**instances, "images": images, "categories": [{"id": 3, "name": "dog"}]}
    (tmp_path / "i_val.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match=r"i_val\.json: its categories are not those of .*i_train\.json"):
        COCO(splits=("train", "val"), on_bad="stop", needs_images=True, **keys)


def test_a_split_without_a_file_is_refused_with_those_that_have_one(tmp_path, instances):
    for split in ("train2017", "val2017"):
        (tmp_path / f"i_{split}.json").write_text(json.dumps(instances))
    keys = {"annotations": str(tmp_path / "i_{split}.json"), "images": str(tmp_path)}
    with pytest.raises(DataError, match=r"no split 'test' .* Add: DATA\.FINETUNE=train2017 .* DATA\.TEST=val2017"):
        COCO(splits=("test",), on_bad="stop", needs_images=True, **keys)


def test_one_file_has_one_split(tmp_path, load, instances):
    load(instances)
    with pytest.raises(
        DataError, match=r"no split 'train': DATA\.COCO\.ANNOTATIONS names one file, whose only split is"
    ):
        COCO(
            splits=("train",),
            on_bad="stop",
            needs_images=True,
            annotations=str(tmp_path / "instances.json"),
            images=str(tmp_path),
        )


def test_missing_paths_say_what_to_set(tmp_path):
    with pytest.raises(ConfigError, match=r"DATA\.COCO\.ANNOTATIONS is empty; set it to the instances JSON file"):
        COCO(splits=("all",), on_bad="stop", needs_images=True)
    with pytest.raises(
        DataError, match=rf"no file .*none\.json \(looked in {tmp_path}\); get it from https://cocodata"
    ):
        COCO(
            splits=("all",),
            on_bad="stop",
            needs_images=True,
            annotations=str(tmp_path / "none.json"),
            images=str(tmp_path),
        )


def test_photographs_are_counted_as_their_notes_count_them(shared):
    folder = shared / "data/coco_train128"
    (file,) = (folder / "annotations").glob("*.json")
    dataset = COCO(
        splits=("all",), on_bad="stop", needs_images=True, annotations=str(file), images=str(folder / "train2017")
    )
    truths = [sample.annotations for sample in dataset]
    assert (len(dataset), sum(map(len, truths)), sum(int(t.crowd.sum()) for t in truths)) == (128, 939, 10)
    assert len(dataset.class_names) == 80
    assert len({int(label) for t in truths for label in t.labels}) == 71


def test_without_images_sizes_come_from_the_json(shared):
    file = shared / "data" / "oracles" / "coco_fakebbox100" / "gt_instances_100.json"
    dataset = COCO(splits=("all",), on_bad="stop", needs_images=False, annotations=str(file))
    assert len(dataset) == 100
    assert sum(len(sample.annotations) for sample in dataset) == 830
    with pytest.raises(ConfigError, match=r"DATA\.COCO\.IMAGES is empty"):
        COCO(splits=("all",), on_bad="stop", needs_images=True, annotations=str(file))
