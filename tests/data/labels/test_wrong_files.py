"""Kinds of wrong or odd label files: each is named, or goes over and is counted; none is dropped silently."""

import json
import re

import pytest

from detkit.data.labels.convert import convert
from detkit.data.labels.formats import READERS
from detkit.errors import DataError
from tests.data.labels.folders import (
    BOXES,
    FORMATS,
    HEAD,
    coco_data,
    cvat_box,
    cvat_file,
    open_images_row,
    picture,
    shape,
    voc_file,
    voc_object,
    yolo_row,
)

CAT, DOG = BOXES["a"]
YOLO_A = "labels/train/a.txt"


def yolo(rows):
    return {YOLO_A: rows}


def labelme(*shapes, **told):
    return {"a.json": {"imagePath": "a.png", "shapes": list(shapes), "imageHeight": 20, "imageWidth": 40, **told}}


def cvat(shapes, **others):
    return {"annotations.xml": cvat_file(a=shapes, b="", **others)}


def voc(objects, **size):
    return {"a.xml": voc_file(objects, **size)}


def coco(change):
    data = coco_data()
    change(data)
    return {"annotations.json": data}


def first(key, value):
    return coco(lambda data: data["annotations"][0].update({key: value}))


def rows(text):
    return {"boxes.csv": HEAD + text}


def row(**changed):
    names = HEAD.strip().split(",")
    values = dict(zip(names, open_images_row("a", *CAT).strip().split(",")), **changed)
    return ",".join(values.values()) + "\n"


NAMED = [
    # YOLO
    ("yolo", "class number without a name", yolo("2 0.5 0.5 0.2 0.2\n"), "a.txt:1 has class number '2'; expected"),
    ("yolo", "negative class number", yolo("-1 0.5 0.5 0.2 0.2\n"), "class number '-1'"),
    ("yolo", "class name in place of its number", yolo("cat 0.5 0.5 0.2 0.2\n"), "the class number is 'cat'"),
    ("yolo", "fractional class number", yolo("0.5 0.5 0.5 0.2 0.2\n"), "class number '0.5'"),
    ("yolo", "pixels in place of shares", yolo("0 14 7 20 10\n"), "these look like pixels"),
    ("yolo", "row too short", yolo("0 0.5 0.5 0.2\n"), "has 4 numbers; expected 5 (a box)"),
    ("yolo", "odd number of corners", yolo("0 .1 .1 .2 .1 .2 .2 .3\n"), "has 8 numbers"),
    ("yolo", "not a number", yolo("0 0.5 nan 0.2 0.2\n"), "is 'nan'; expected a finite number"),
    ("yolo", "decimal comma", yolo("0 0,5 0,5 0,2 0,2\n"), "is '0,5'"),
    ("yolo", "width 0", yolo("0 0.5 0.5 0 0.2\n"), "has no area: width 0"),
    ("yolo", "negative height", yolo("0 0.5 0.5 0.2 -0.2\n"), "has -0.2"),
    ("yolo", "two mistakes in one file", yolo("9 .5 .5 .2 .2\n0 .5 .5 0 0\n"), "a.txt:2"),
    ("yolo", "binary text file", yolo(b"\xff\xfe\x00"), "not a text file in UTF-8"),
    ("yolo", "text file without an image", {"labels/train/c.txt": "0 .5 .5 .2 .2\n"}, "images/train/c.jpg"),
    ("yolo", "broken image", {"images/train/a.png": picture()[:60]}, "a.png"),
    ("yolo", "no class names", {"data.yaml": "train: images/train\nval: images/val\nnames: []\n"}, "names is []"),
    ("yolo", "nc that does not fit", {"data.yaml": "nc: 3\ntrain: images/train\nnames: [cat, dog]\n"}, "nc is 3"),
    ("yolo", "name twice", {"data.yaml": "train: images/train\nnames: [cat, cat]\n"}, "'cat' stands there 2 times"),
    (
        "yolo",
        "split that is not there",
        {"data.yaml": "train: photos\nnames: [cat, dog]\n"},
        "train: photos: no such folder",
    ),
    ("yolo", "broken YAML", {"data.yaml": "names: [cat\n"}, "not readable as YAML"),
    ("yolo", "names is a text", {"data.yaml": "train: images/train\nnames: cat\n"}, "names is 'cat'"),
    ("yolo", "two images for one text file", {"images/train/a.jpg": picture()}, "another image has the same name"),
    # LabelMe
    ("labelme", "unknown shape", labelme(shape(*CAT) | {"shape_type": "star"}), "shape_type 'star'; expected one of"),
    ("labelme", "no label", labelme({"points": [[0, 0], [9, 9]]}), "has label None"),
    ("labelme", "one corner", labelme(shape(*CAT) | {"points": [[1, 2]]}), "has 1 point; a rectangle has 2"),
    ("labelme", "points are no list", labelme(shape(*CAT) | {"points": "1,2"}), "has points '1,2'"),
    (
        "labelme",
        "three coordinates",
        labelme(shape(*CAT) | {"points": [[1, 2, 3], [4, 5, 6]]}),
        "expected a list of [x, y]",
    ),
    ("labelme", "coordinate is a text", labelme(shape(*CAT) | {"points": [["x", 2], [4, 5]]}), "x is 'x'"),
    ("labelme", "no area", labelme(shape("cat", (5, 5, 5, 9))), "has no area"),
    ("labelme", "outside of its image", labelme(shape("cat", (50, 5, 60, 9))), "has no area in the image of 40x20"),
    ("labelme", "cut off", {"a.json": '{"shapes": [{"label": "cat"'}, "a.json:1: not readable as JSON"),
    ("labelme", "shapes is no list", {"a.json": {"shapes": {}, "imagePath": "a.png"}}, "not a LabelMe file"),
    ("labelme", "image is missing", {"c.json": {"shapes": [shape(*CAT)], "imagePath": "gone.png"}}, "gone.png"),
    ("labelme", "shape is a number", labelme(7), "shape 1 of 1 is 7"),
    ("labelme", "key twice", {"a.json": '{"shapes": [], "shapes": [], "imagePath": "a.png"}'}, "'shapes' twice"),
    # CVAT
    ("cvat", "no label", cvat('<box xtl="0" ytl="0" xbr="9" ybr="9"/>'), "<box> has no label"),
    ("cvat", "no corner", cvat('<box label="cat" xtl="0" ytl="0" xbr="9"/>'), "ybr is None"),
    ("cvat", "inverted box", cvat(cvat_box("cat", (9, 9, 2, 2))), "has no area: 9, 9, 2, 2"),
    ("cvat", "unknown shape", cvat('<blob label="cat"/>'), "is <blob>; expected one of"),
    ("cvat", "two points", cvat('<polygon label="cat" points="1,2;3,4"/>'), "expected three or more"),
    (
        "cvat",
        "video",
        {"annotations.xml": "<annotations><track id='0' label='cat'/></annotations>"},
        "1 track of a video",
    ),
    ("cvat", "image is missing", {"annotations.xml": cvat_file(gone=cvat_box(*CAT))}, "gone.png"),
    (
        "cvat",
        "image twice",
        {"annotations.xml": cvat_file(a="").replace("</annotations>", '<image name="a.png"/></annotations>')},
        "image a.png stands there 2 times",
    ),
    (
        "cvat",
        "path out of the folder",
        {"annotations.xml": '<annotations><image id="0" name="../a.png"/></annotations>'},
        "'../a.png'",
    ),
    ("cvat", "broken XML", {"annotations.xml": "<annotations><image"}, "not readable as XML"),
    ("cvat", "strange flag", cvat(cvat_box(*CAT).replace('occluded="0"', 'occluded="maybe"')), "occluded is 'maybe'"),
    # Pascal VOC
    ("voc", "no name", voc("<object><bndbox/></object>"), "has no <name>"),
    ("voc", "no box", voc("<object><name>cat</name></object>"), "has no <bndbox>"),
    ("voc", "inverted box", voc(voc_object("cat", (9, 9, 2, 2))), "has an inverted box"),
    ("voc", "coordinate twice", voc(voc_object(*CAT).replace("<xmax>", "<xmax>3</xmax><xmax>")), "<xmax> 2 times"),
    ("voc", "area is a text", voc(voc_object(*CAT, "<area>big</area>")), "has <area> 'big'"),
    ("voc", "image without XML", {"c.png": picture()}, "c.xml: no such annotation file"),
    ("voc", "XML without image", {"c.xml": voc_file("")}, "c.jpg"),
    # COCO
    ("coco", "unknown category", first("category_id", 9), "category_id 9; expected one of"),
    ("coco", "three numbers", first("bbox", [1, 2, 3]), "expected four finite numbers"),
    ("coco", "no area", first("bbox", [1, 2, 0, 3]), "has no area"),
    ("coco", "unknown image", first("image_id", 7), "image_id 7, which is not among the images"),
    ("coco", "annotation id twice", first("id", 1), "annotation id 1 stands there twice"),
    (
        "coco",
        "file name out of the folder",
        coco(lambda data: data["images"][0].update(file_name="../a.png")),
        "'../a.png'",
    ),
    ("coco", "image listed twice", coco(lambda d: d["images"].append({"id": 5, "file_name": "a.png"})), "stands in"),
    ("coco", "strange crowd", first("iscrowd", 2), "iscrowd 2"),
    # Open Images
    ("open_images", "share above 1", rows(row(XMax="1.5")), "has XMax 1.5"),
    ("open_images", "inverted box", rows(row(XMin="0.9", XMax="0.2")), "has no area"),
    ("open_images", "unknown label", rows(row(LabelName="/m/x")), "which the class descriptions do not name"),
    ("open_images", "strange flag", rows(row(IsGroupOf="yes")), "IsGroupOf is 'yes'"),
    ("open_images", "row cut off", rows("a,xclick,/m/cat\n"), "boxes.csv:2: the row has another number of columns"),
    ("open_images", "missing column", {"boxes.csv": "ImageID,XMin,XMax\na,0,1\n"}, "has no column LabelName"),
    (
        "open_images",
        "quote that does not end",
        rows(row()) | {"class-descriptions.csv": '/m/cat,"cat' + "x" * 140_000},
        "class-descriptions.csv:1: not readable as CSV",
    ),
    ("open_images", "image is missing", rows(row(ImageID="gone")), "gone.jpg"),
]

CARRIED = [
    # (format, kind, files, what is counted as lost, {image: times})
    ("yolo", "confidence", yolo("0 .5 .5 .2 .2 .9\n"), "confidence", {"a": 1}),
    ("yolo", "polygon", yolo("0 .1 .1 .5 .1 .5 .5\n"), "outline, of which box and area are kept", {"a": 1}),
    ("labelme", "line", labelme(shape(*CAT) | {"shape_type": "line"}), "shape 'line', which has no area", {"a": 1}),
    (
        "labelme",
        "circle",
        labelme(shape("cat", (20, 10, 25, 10)) | {"shape_type": "circle"}),
        "circle, of which the box is kept",
        {"a": 1},
    ),
    ("labelme", "flag of the image", labelme(flags={"blurred": True}), "flag 'blurred'", {"a": 1}),
    ("labelme", "group", labelme(shape(*CAT) | {"group_id": 4}), "key 'group_id'", {"a": 1}),
    ("cvat", "points", cvat('<points label="cat" points="1,2"/>'), "<points>, which has no box", {"a": 1}),
    ("cvat", "tag", cvat('<tag label="cat"/>'), "<tag>, which has no box", {"a": 1}),
    (
        "cvat",
        "attribute",
        cvat(cvat_box(*CAT).replace("></box>", '><attribute name="colour">red</attribute></box>')),
        "attribute 'colour'",
        {"a": 1},
    ),
    ("voc", "pose", voc(voc_object(*CAT, "<pose>Left</pose>")), "<pose> of an object", {"a": 1}),
    ("voc", "parts", voc(voc_object(*CAT, "<part><name>head</name></part>")), "<part> of an object", {"a": 1}),
    ("coco", "keypoints", first("keypoints", [1, 2, 2]), "key 'keypoints'", {"a": 1}),
    ("coco", "licences", coco(lambda data: data.update(licenses=[{"id": 1}])), "key 'licenses' of the file", {"": 1}),
    ("open_images", "depiction", rows(row(IsDepiction="1")), "IsDepiction", {"a": 1}),
]

NOTED = [
    ("yolo", "image without a text file", {"images/train/c.png": picture()}, "1 image without a text file"),
    ("labelme", "image without a JSON file", {"c.png": picture()}, "1 image without a JSON file: left out"),
    ("labelme", "JSON of something else", {"notes.json": {"x": 1}}, "1 JSON file of another format"),
    ("cvat", "image that is not named", {"images/c.png": picture()}, "1 image that it does not name"),
    ("open_images", "image that is not named", {"images/c.png": picture()}, "1 image that no CSV file names"),
    ("yolo", "object twice", yolo(yolo_row(*CAT) * 2), "cat stands there 2 times with one box"),
    (
        "voc",
        "size that differs",
        voc(voc_object(*CAT), size="<size><width>41</width><height>20</height></size>"),
        "gives 41x20 pixels",
    ),
    ("labelme", "box beyond the image", labelme(shape("cat", (30, 5, 60, 9))), "leaves the image by 20 pixels"),
]


def converted(folder, name, files, **options):
    from tests.data.labels.folders import put

    put(folder / "in", FORMATS[name]() | files)
    return convert(folder / "in", folder / "out", "voc", source=name, **options)


@pytest.mark.parametrize(("name", "kind", "files", "text"), NAMED, ids=[f"{n}: {kind}" for n, kind, *_ in NAMED])
def test_is_named(name, kind, files, text, tmp_path):
    with pytest.raises(DataError) as caught:
        converted(tmp_path, name, files)
    assert text in "\n".join(caught.value.problems)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "kind", "files", "lost", "images"), CARRIED, ids=[f"{n}: {k}" for n, k, *_ in CARRIED]
)
def test_goes_over_and_what_is_lost_is_counted(name, kind, files, lost, images, tmp_path):
    assert converted(tmp_path, name, files).lost[lost] == images
    assert json.loads((tmp_path / "out/conversion.json").read_text())["lost"][lost] == images


@pytest.mark.parametrize(("name", "kind", "files", "text"), NOTED, ids=[f"{n}: {k}" for n, k, *_ in NOTED])
def test_goes_over_and_is_noted(name, kind, files, text, tmp_path):
    assert any(re.search(re.escape(text), note) for note in converted(tmp_path, name, files).notes)


def test_there_are_sixty_kinds_of_each_format():
    kinds = [(name, kind) for name, kind, *_ in (*NAMED, *CARRIED, *NOTED)]
    assert len(set(kinds)) == len(kinds) >= 60
    assert {name for name, _ in kinds} == set(READERS)
