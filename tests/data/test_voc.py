import re

import pytest

from detkit.data.voc import VOC
from detkit.errors import ConfigError, DataError
from detkit.structures import OTHER_CLASS


def load(voc, *splits, on_bad="stop", **keys):
    return VOC(splits=splits or ("train",), on_bad=on_bad, needs_images=True, root=str(voc.root), **keys)


@pytest.fixture
def pets(voc):
    """Images b, a, c of 60x40 pixels in this order: two objects, none, one."""
    voc.add("b", voc.xml(voc.thing("dog", (1, 1, 10, 20)), voc.thing("cat", (5.5, 6, 60, 40), difficult=1)))
    voc.add("a", voc.xml(), value=50)
    voc.add("c", voc.xml(voc.thing("cat", (11, 11, 11, 11))), value=90)
    return voc.split("train", "b", "a").split("test", "c").split("all", "b", "a", "c")


def test_inclusive_pixels_from_one_become_exclusive_pixels_from_zero(pets):
    truths = load(pets)[0].annotations
    assert truths.boxes.tensor.tolist() == [[0, 0, 10, 20], [4.5, 5, 60, 40]]


def test_a_box_of_one_pixel_has_area_one(pets):
    assert load(pets, "test")[0].annotations.boxes.tensor.tolist() == [[10, 10, 11, 11]]


def test_labels_are_positions_in_the_class_names_and_difficult_is_kept(pets):
    dataset = load(pets)
    assert dataset.class_names == ("cat", "dog")
    assert dataset[0].annotations.labels.tolist() == [1, 0]
    assert dataset[0].annotations.difficult.tolist() == [False, True]
    assert load(pets, classes=("dog", "bird", "cat"))[0].annotations.labels.tolist() == [0, 2]


def test_images_come_in_the_order_of_the_split_and_splits_in_the_order_asked(pets):
    assert [sample.image_id for sample in load(pets)] == ["b", "a"]
    assert [sample.image_id for sample in load(pets, "test", "train")] == ["c", "b", "a"]


def test_classes_are_found_over_all_files_so_that_splits_agree(pets):
    assert load(pets, "test").class_names == load(pets, "train").class_names == ("cat", "dog")


def test_an_image_without_objects_is_legal(pets):
    assert len(load(pets)[1].annotations) == 0


def test_a_class_list_gives_the_images_of_its_split(pets):
    pets.split("cat_train", "b  1", "a -1")
    assert [sample.image_id for sample in load(pets, "cat_train")] == ["b", "a"]


def test_an_id_that_ends_in_a_number_is_an_id(voc):
    voc.add("my cat 1", voc.xml(voc.thing("cat", (1, 1, 9, 9)))).add("cow", voc.xml(), value=3)
    assert [sample.image_id for sample in load(voc.split("train", "my cat 1", "cow"))] == ["my cat 1", "cow"]


def test_the_size_is_the_images_and_a_difference_is_a_line(voc):
    voc.add("a", voc.xml(voc.thing("cat", (1, 1, 9, 9)), size=(60, 40))).split("train", "a")
    dataset = load(voc)
    assert dataset[0].size == (40, 60)
    assert dataset.warnings == [f"{voc.root}/Annotations/a.xml: gives 40x60 pixels, its image has 60x40"]


def test_a_box_one_pixel_outside_is_cut_without_a_word_and_further_with_a_line(voc):
    voc.add("a", voc.xml(voc.thing("cat", (0, 1, 61, 41)), voc.thing("cat", (31, 1, 65, 20)))).split("train", "a")
    dataset = load(voc)
    assert dataset[0].annotations.boxes.tensor.tolist() == [[0, 0, 60, 40], [30, 0, 60, 20]]
    assert len(dataset.warnings) == 1
    assert "a.xml:4: object 2 of 2 (cat) leaves the image of 60x40 pixels by 5; its box was cut" in dataset.warnings[0]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((20, 1, 10, 9), "a.xml:4: object 2 of 2 (dog) has an inverted box: xmin 20, ymin 1, xmax 10, ymax 9"),
        ((61, 1, 70, 9), "a.xml:4: object 2 of 2 (dog) has no area in the image of 60x40 pixels: box [60.0, 0.0, 70.0"),
        (("nan", 1, 9, 9), "a.xml:4: object 2 of 2 (dog) has <xmin> 'nan'; expected a finite number"),
        ((1, "", 9, 9), "a.xml:4: object 2 of 2 (dog) has <ymin> ''; expected a finite number"),
        ((1, 1, "wide", 9), "a.xml:4: object 2 of 2 (dog) has <xmax> 'wide'; expected a finite number"),
        ((1, 1, 9), "a.xml:4: object 2 of 2 (dog) has no <ymax>"),
    ],
)
def test_a_broken_box_names_file_line_and_object(voc, box, message):
    voc.add("a", voc.xml(voc.thing("cat", (1, 1, 9, 9)), voc.thing("dog", box))).split("train", "a")
    with pytest.raises(DataError, match=re.escape(message)):
        load(voc)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object>", "a.xml:2: not readable as XML: no element found"),
        ("<html></html>", "not a VOC annotation: its root element is <html>, expected <annotation>"),
        ("<annotation><object></object></annotation>", "a.xml:1: object 1 of 1 has no <name>"),
        ("<annotation><object><name>cat</name></object></annotation>", "object 1 of 1 (cat) has no <bndbox>"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotation>&a;</annotation>', "a.xml: not readable as XML: EntitiesForbidden"),
        ("", "a.xml:1: not readable as XML: no element found"),
    ],
)
def test_a_broken_annotation_file_is_refused_by_name(voc, text, message):
    voc.add("a", text).split("train", "a")
    with pytest.raises(DataError, match=re.escape(message)):
        load(voc, classes=("cat",))


def test_truncated_is_kept_where_every_object_tells_it(voc):
    flagged = {
        flag: voc.thing("cat", (1, 1, 9, 9)).replace("<bndbox>", f"<truncated>{flag}</truncated><bndbox>")
        for flag in ("1", "0", "Unspecified")
    }
    voc.add("a", voc.xml(flagged["1"], flagged["0"])).add("b", voc.xml(flagged["1"], flagged["Unspecified"]))
    dataset = load(voc.split("train", "a", "b"))
    assert dataset[0].annotations.truncated.tolist() == [True, False]
    assert dataset[1].annotations.truncated is None


def test_a_difficult_that_is_no_flag_is_refused(voc):
    voc.add("a", voc.xml(voc.thing("cat", (1, 1, 9, 9), difficult="maybe"))).split("train", "a")
    with pytest.raises(DataError, match=r"\(cat\) has <difficult> 'maybe'; expected 0 or 1"):
        load(voc)


def test_broken_images_and_annotations_are_left_out_and_listed_on_request(pets):
    pets.annotate("a", "<annotation>")
    (pets.root / "JPEGImages" / "c.jpg").write_bytes(b"")
    dataset = load(pets, "all", on_bad="skip")
    assert [sample.image_id for sample in dataset] == ["b"]
    assert len(dataset.skipped) == 2
    assert re.match(r"a: .*a\.xml:1: not readable as XML", dataset.skipped[0])
    assert re.match(r"c: .*c\.jpg: cannot read the image: the file is empty", dataset.skipped[1])


def test_nothing_left_to_use_is_an_error(pets):
    (pets.root / "JPEGImages" / "c.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"data set VOC: no image to use: all 1 are broken, the first: c: .*is empty"):
        load(pets, "test", on_bad="skip")
    with pytest.raises(DataError, match="data set VOC: no image to use: the split is empty"):
        load(pets.split("val"), "val")


def test_a_class_that_was_not_asked_for_stops_or_is_dropped(pets):
    with pytest.raises(
        DataError, match=r"\(dog\) is of no class in DATA\.VOC\.CLASSES\. Did you mean dogs\? Expected one"
    ):
        load(pets, classes=("cat", "dogs"))
    dataset = load(pets, classes=("cat",), other_classes="drop")
    assert dataset[0].annotations.boxes.tensor.tolist() == [[4.5, 5, 60, 40]]
    assert dataset.warnings == [
        f"{pets.root}: 1 of 2 objects (50.0%) are of other classes than DATA.VOC.CLASSES (1 dog); OTHER_CLASSES: drop "
        "takes them for background"
    ]


def test_an_object_of_another_class_that_is_ignored_keeps_its_image_and_has_no_class(pets):
    truths = load(pets, classes=("cat",), other_classes="ignore")[0].annotations
    assert truths.labels.tolist() == [OTHER_CLASS, 0]
    assert truths.boxes.tensor.tolist() == [[0, 0, 10, 20], [4.5, 5, 60, 40]]


def test_classes_that_differ_by_capitals_only_are_a_line(voc):
    voc.add("a", voc.xml(voc.thing("Dog", (1, 1, 9, 9)), voc.thing("dog", (1, 1, 9, 9)))).split("train", "a")
    line = "classes Dog and dog differ by capitals only and are learnt as different classes"
    assert load(voc).warnings == [line]


@pytest.mark.parametrize(
    ("listed", "asked", "read"),
    [
        ("trainval test", "train", "trainval"),
        ("train test", "trainval", "train"),
        ("train val", "test", "val"),
        ("train val", "trainval", "train"),  # val stands for test there
        ("train val test", "trainval", "train val"),
    ],
)
def test_splits_that_are_there_stand_in_for_those_that_are_not(voc, listed, asked, read):
    for shade, name in enumerate(listed.split()):
        voc.add(name, voc.xml(voc.thing("cat", (1, 1, 9, 9))), value=shade).split(name, name)
    dataset = load(voc, asked)
    assert [sample.image_id for sample in dataset] == read.split()
    lists = voc.root / "ImageSets/Main"
    assert dataset.warnings == [f"{lists}: no split {asked!r}; instead of it: {', '.join(read.split())}"]


LEARN = "DATA.FINETUNE={0} DATA.TRAIN={0} DATA.TEST={1}, or add DATA.VOC.DRAW_SPLITS=true to draw"


@pytest.mark.parametrize(
    ("listed", "asked", "words"),
    [
        ("train val trainval", "test", LEARN.format("train", "val")),
        ("train dev", "test", LEARN.format("train", "dev")),
        (
            "default",
            "train",
            "Set DATA.FINETUNE, DATA.TRAIN and DATA.TEST to splits that are there or add DATA.VOC.DRAW",
        ),
        ("trainval val", "test", "Set DATA.FINETUNE, DATA.TRAIN and DATA.TEST to splits that are there or add"),
    ],
)
def test_a_split_that_nothing_stands_for_is_refused_with_the_words_to_add(voc, listed, asked, words):
    for name in listed.split():
        voc.add(name, voc.xml(voc.thing("cat", (1, 1, 9, 9)))).split(name, name)
    with pytest.raises(DataError, match=re.escape(words)):
        load(voc, asked)
    assert len(load(voc, "all", draw_splits=True)) == len(listed.split())


def test_a_split_without_any_annotation_file_has_no_ground_truths(pets):
    dataset = load(pets.add("t", value=9).split("unlabelled", "t"), "train", "unlabelled")
    assert dataset[2].annotations is None and dataset[0].annotations is not None


def test_one_missing_annotation_or_image_is_an_error(pets):
    pets.add("d").split("train", "b", "d")
    with pytest.raises(
        DataError, match=r"Annotations/d\.xml: no such annotation file; an image without objects needs one"
    ):
        load(pets)
    with pytest.raises(DataError, match=r"JPEGImages/e\.jpg: cannot read the image: No such file"):
        load(pets.split("train", "b", "e"))


def test_an_id_that_is_listed_twice_is_an_error(pets):
    with pytest.raises(DataError, match="image b is listed twice"):
        load(pets.split("train", "b", "a", "b"))
    with pytest.raises(DataError, match="image c is listed twice"):
        load(pets, "all", "test")


@pytest.mark.parametrize("image_id", ["../b", "/etc/passwd", "..", "x\\y"])
def test_an_id_that_leaves_the_folder_is_refused(pets, image_id):
    with pytest.raises(DataError, match=r"train\.txt: .* is no image id; expected a file name without folder"):
        load(pets.split("train", image_id))


def test_an_unknown_split_is_answered_with_the_nearest_and_the_list(pets):
    with pytest.raises(DataError, match=r"no split 'tset' in .*Main\. Did you mean test\? There is: all, test, train"):
        load(pets, "tset")


def test_a_missing_folder_says_where_it_was_looked_for_and_what_is_expected_there(tmp_path):
    with pytest.raises(
        DataError,
        match=rf"no folder .*\(looked in {tmp_path}/none\); .* your images and an XML file .* or to VOC's own, .*http://",
    ):
        VOC(splits=("train",), on_bad="stop", needs_images=True, root=str(tmp_path / "none"))
    with pytest.raises(DataError, match=rf"no image in {tmp_path}; set DATA\.VOC\.ROOT"):
        VOC(splits=("train",), on_bad="stop", needs_images=True, root=str(tmp_path))
    with pytest.raises(ConfigError, match=r"DATA\.VOC\.ROOT is empty"):
        VOC(splits=("train",), on_bad="stop", needs_images=True)


def test_keys_that_contradict_each_other_are_refused(pets):
    with pytest.raises(ConfigError, match=r"VAL_FRACTION 0\.5 and TEST_FRACTION 0\.5 leave nothing to train on"):
        load(pets, val_fraction=0.5, test_fraction=0.5)
    with pytest.raises(ConfigError, match=r"DATA\.VOC\.CLASSES: 'cat' stands there 2 times; expected different names"):
        load(pets, classes=("cat", "dog", "cat"))


def test_without_any_object_the_classes_must_be_given(voc):
    voc.add("a", voc.xml()).split("train", "a")
    with pytest.raises(
        DataError, match=r"no annotation file with an object to take class names from; set DATA\.VOC\.CLASSES"
    ):
        load(voc)
    assert load(voc, classes=("cat",)).class_names == ("cat",)


@pytest.fixture(params=["", "images"])
def flat(request, tmp_path, picture, voc):
    """Ten images with a cat each, side by side with their XML or in folders of their own."""
    voc.root = tmp_path / "flat"
    for n in range(10):
        picture(voc.root / request.param / f"p{n}.png", value=20 * n)
        file = voc.root / ("annotations" if request.param else "") / f"p{n}.xml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(voc.xml(voc.thing("cat", (1, 1, 9, 9))))
    return voc


def test_a_flat_folder_is_split_by_the_fractions(flat):
    ids = {split: [s.image_id for s in load(flat, split)] for split in ("train", "val", "trainval", "test", "all")}
    assert [len(ids[split]) for split in ("train", "val", "trainval", "test", "all")] == [6, 2, 8, 2, 10]
    assert sorted(ids["train"] + ids["val"]) == ids["trainval"]
    assert sorted(ids["trainval"] + ids["test"]) == ids["all"] == [f"p{n}" for n in range(10)]


def test_the_split_of_a_flat_folder_follows_its_seed(flat):
    tests = [[s.image_id for s in load(flat, "test", split_seed=seed)] for seed in (0, 0, 1, 2, 3)]
    assert tests[0] == tests[1]
    assert any(ids != tests[0] for ids in tests[2:])


def test_a_flat_folder_has_no_other_splits(flat):
    with pytest.raises(
        DataError, match=r"no split 'tests' .*Did you mean test\? There is: train, val, trainval, test, all"
    ):
        load(flat, "tests")


def test_an_image_of_a_flat_folder_without_its_xml_is_an_error(flat):
    next(flat.root.rglob("p3.xml")).unlink()
    with pytest.raises(DataError, match=r"p3\.xml: no such annotation file"):
        load(flat, "all")


def test_two_images_of_one_id_are_refused(pets, picture):
    picture(pets.root / "JPEGImages" / "b.png")
    with pytest.raises(DataError, match=r"b\.png: another image has the same id: b\.jpg; rename one of them"):
        load(pets)


@pytest.mark.parametrize(
    ("folder", "splits", "images", "objects", "difficult", "classes"),
    [
        ("voc2012_animals5/VOC2012", ("trainval", "test"), 500, 854, 0, 5),
        ("voc2012_20cls/VOC2012", ("trainval",), 58, 145, 25, 20),
        ("voc2007_test_demo/VOC2007", ("test",), 16, 44, 0, 13),
    ],
)
def test_photographs_are_counted_as_their_notes_count_them(shared, folder, splits, images, objects, difficult, classes):
    dataset = VOC(splits=splits, on_bad="stop", needs_images=True, root=str(shared / "data" / folder))
    truths = [sample.annotations for sample in dataset]
    assert (len(dataset), len(dataset.class_names), dataset.warnings) == (images, classes, [])
    assert sum(map(len, truths)) == objects
    assert sum(int(t.difficult.sum()) for t in truths) == difficult


def test_without_images_sizes_come_from_the_xml_files(shared, tmp_path):
    folder = tmp_path / "VOC"
    source = shared / "data" / "voc2012_20cls" / "VOC2012"
    folder.mkdir()
    for name in ("Annotations", "ImageSets"):
        (folder / name).symlink_to(source / name)
    keys = {"splits": ("val",), "on_bad": "stop"}
    bare = VOC(**keys, needs_images=False, root=str(folder))
    full = VOC(**keys, needs_images=True, root=str(source))
    assert [s.image_id for s in bare] == [s.image_id for s in full]
    assert [s.size for s in bare] == [s.size for s in full]
    with pytest.raises(DataError, match="no image in"):
        VOC(**keys, needs_images=True, root=str(folder))
