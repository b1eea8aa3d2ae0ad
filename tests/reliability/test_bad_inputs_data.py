import json
import os
import re

import pytest

from tests.reliability.bad_inputs import RAMP, encoded, pil, png, rotated, thing, tried, xml

FINE, STOPS = 0, 2
GOOD = xml(thing((1, 1, 30, 30)))


def counted(text):
    """The images and the objects that a report counts in its one split."""
    return tuple(int(re.search(rf"^{name} +(\d+)$", text, re.MULTILINE).group(1)) for name in ("images", "objects"))


def check(capsys, folder, *words):
    (folder / "recipe.yaml").write_text("STAGES: [Evaluate]\nDATA: {NAME: VOC, TEST: test}\n")
    return tried(capsys, folder, "data", "check", "--config", folder / "recipe.yaml", *words)


@pytest.fixture
def voc(tmp_path, monkeypatch, capsys):
    """Checks a VOC folder of one good image and one with these bytes and this annotation."""
    monkeypatch.chdir(tmp_path)

    def look(image=None, text=GOOD, *words, name="bad.jpg", ids="good\nbad\n"):
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (tmp_path / "VOC" / folder).mkdir(parents=True, exist_ok=True)
        root = tmp_path / "VOC"
        (root / "JPEGImages" / "good.png").write_bytes(encoded(".png"))
        (root / "Annotations" / "good.xml").write_text(GOOD)
        if image is not None:
            (root / "JPEGImages" / name).write_bytes(image)
        if text is not None:
            data = text if isinstance(text, bytes) else text.encode()
            (root / "Annotations" / "bad.xml").write_bytes(data)
        (root / "ImageSets/Main/test.txt").write_bytes(ids if isinstance(ids, bytes) else ids.encode())
        return check(capsys, tmp_path, f"DATA.VOC.ROOT={root}", *words)

    return look


JPEG, NOISE = encoded(".jpg"), encoded(".png", (RAMP * 37) ^ 21)
IMAGES = {
    "zero bytes": (b"", STOPS, "bad.jpg: cannot read the image: the file is empty"),
    "text": (b"no image at all", STOPS, "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
    "html": (b"<html>404</html>", STOPS, "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
    "pdf": (b"%PDF-1.4\n", STOPS, "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
    "zip": (b"PK\3\4" + bytes(30), STOPS, "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
    "tiff": (pil("RGB", "TIFF"), FINE, ""),
    "grey tiff": (pil("L", "TIFF"), FINE, ""),
    "palette tiff": (pil("P", "TIFF"), FINE, ""),
    "packed tiff": (pil("RGB", "TIFF", compression="tiff_lzw"), FINE, ""),
    "tiff of 32 bits": (
        encoded(".tif", RAMP.astype("float32")),
        STOPS,
        "TIFF of 32 bits a number",
    ),
    "tiff without a size": (b"II*\0\x08\0\0\0" + bytes(6), STOPS, "the TIFF file does not say its size"),
    "sound in RIFF": (b"RIFF\0\0\0\0WAVEfmt ", STOPS, "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
    "zeros": (bytes(999), STOPS, "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
    "cmyk": (pil("CMYK", "JPEG"), FINE, ""),
    "grey jpeg": (pil("L", "JPEG"), FINE, ""),
    "grey png": (pil("L", "PNG"), FINE, ""),
    "grey and alpha": (pil("LA", "PNG"), FINE, ""),
    "one bit": (pil("1", "PNG"), FINE, ""),
    "palette": (pil("P", "PNG"), FINE, ""),
    "palette with a transparent colour": (pil("P", "PNG", transparency=0), FINE, ""),
    "palette gif": (pil("P", "GIF"), FINE, ""),
    "palette bmp": (pil("P", "BMP"), FINE, ""),
    "rgba png": (pil("RGBA", "PNG"), FINE, ""),
    "rgba webp": (pil("RGBA", "WEBP"), FINE, ""),
    "lossless webp": (pil("RGB", "WEBP", lossless=True), FINE, ""),
    "16 bits grey": (encoded(".png", RAMP[..., 0].astype("uint16") * 257), FINE, ""),
    "16 bits colour": (encoded(".png", RAMP.astype("uint16") * 257), FINE, ""),
    "progressive jpeg": (pil("RGB", "JPEG", progressive=True), FINE, ""),
    "png named jpg": (encoded(".png"), FINE, ""),
    "jpeg header without frame": (b"\xff\xd8\xff\xda\0\2\xff\xd9", STOPS, "the JPEG file has no frame header"),
    "jpeg of broken structure": (JPEG[:2] + b"\xff\xe0\0\4abzz" + JPEG[20:], STOPS, "the JPEG structure is broken"),
    "flipped bits in a png": (NOISE[:90] + bytes([NOISE[90] ^ 255]) + NOISE[91:], STOPS, "pixels cannot be decoded"),
    "png without pixels": (png(60, 40), STOPS, "60x40 pixels cannot be decoded"),
    "png of no width": (png(0, 40), STOPS, "gives a size of 0x40 pixels"),
    "png of no height": (png(60, 0), STOPS, "gives a size of 60x0 pixels"),
    "bomb": (png(50_000, 50_000), STOPS, "50000x50000 pixels, at most 200 million are read"),
    "bomb of one row": (png(2**31 - 1, 1), STOPS, "2147483647x1 pixels, at most 200 million are read"),
    "rubbish behind the end": (JPEG + b"rubbish" * 9, FINE, ""),
    **{f"rotated by exif {n}": (rotated(n), FINE, "") for n in (1, 3, 6, 8, 77)},
    **{
        f"{suffix} cut at {where}": (encoded(suffix)[:length], STOPS, f"bad{suffix}: ")
        for suffix in (".jpg", ".png", ".bmp", ".gif", ".webp", ".tif")
        for where, length in (("1", 1), ("8", 8), ("20", 20), ("half", len(encoded(suffix)) // 2))
    },
}


@pytest.mark.parametrize("row", IMAGES)
def test_images(voc, row):
    data, code, message = IMAGES[row]
    suffix = row.split()[0] if row.startswith(".") else ".jpg"
    found = voc(data, name=f"bad{suffix}")
    assert found[0] == code, found[1]
    assert message in found[1]
    assert ("left out: bad: " in found[1] or "stops: bad: " in found[1]) == (code == STOPS)
    assert ("image bad: EXIF notes that it is to be turned" in found[1]) == (row[-6:] in ("exif 3", "exif 6", "exif 8"))
    assert counted(found[1]) == ((2, 2) if code == FINE else (1, 1))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (1, 2), (3, 1)])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_thin_images_are_images(voc, size, suffix):
    height, width = size
    told = f"<size><width>{width}</width><height>{height}</height></size>"
    image = encoded(suffix, RAMP[:1, :1].repeat(height, 0).repeat(width, 1))
    code, text = voc(image, xml(thing((1, 1, width, height)), size=told), name=f"bad{suffix}")
    assert code == FINE and counted(text) == (2, 2)


def test_a_data_set_sets_its_own_limit_of_pixels(voc):
    code, text = voc(encoded(".jpg"), GOOD, "DATA.VOC.MAX_MEGAPIXELS=0.002")
    assert code == STOPS and "bad.jpg: 60x40 pixels, at most 0.002 million are read" in text


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot read the image: No such file"),
        ("folder", "cannot read the image: Is a directory"),
        ("pipe", "cannot read the image: Not a regular file"),
        ("dangling link", "cannot read the image: No such file"),
    ],
)
def test_what_is_no_file_is_no_image(voc, tmp_path, kind, message):
    path = tmp_path / "VOC/JPEGImages/bad.jpg"
    path.parent.mkdir(parents=True)
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "dangling link": lambda: path.symlink_to("gone")}
    make.get(kind, lambda: None)()
    code, text = voc()
    assert code == STOPS and f"bad: {path}: {message}" in text


BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
XML = {
    "empty": ("", STOPS, "bad.xml:1: not readable as XML: no element found"),
    "no xml": ("cat 1 2 3 4", STOPS, "bad.xml:1: not readable as XML"),
    "json": ("{}", STOPS, "bad.xml:1: not readable as XML"),
    "binary": (bytes(range(256)), STOPS, "not readable as XML"),
    "cut": (GOOD[:-20], STOPS, "bad.xml:1: not readable as XML"),
    "unknown encoding": (b'<?xml version="1.0" encoding="klingon"?><annotation/>', STOPS, "not readable as XML"),
    "utf-16": (GOOD.encode("utf-16"), FINE, ""),
    "byte order mark": (GOOD.encode("utf-8-sig"), FINE, ""),
    "another root": ("<html></html>", STOPS, "its root element is <html>, expected <annotation>"),
    "entity bomb": (xml(thing((1, 1, 9, 9), "&c;"), head=BOMB), STOPS, "not readable as XML: EntitiesForbidden"),
    "outside entity": (xml(thing((1, 1, 9, 9), "&b;"), head=OUTSIDE), STOPS, "not readable as XML: EntitiesForbidden"),
    "outside document type": (xml(head='<!DOCTYPE a SYSTEM "http://x/y.dtd">'), FINE, ""),
    "deep": ("<annotation>" + "<a>" * 30_000 + "</a>" * 30_000 + "</annotation>", FINE, ""),
    "no object": (xml(), FINE, ""),
    "no size": (xml(thing((1, 1, 9, 9)), size=""), FINE, ""),
    "size of zeros": (xml(size="<size><width>0</width><height>0</height></size>"), FINE, ""),
    "size in words": (xml(size="<size><width>wide</width><height>40</height></size>"), FINE, ""),
    "negative size": (xml(size="<size><width>-60</width><height>40</height></size>"), FINE, ""),
    "sides exchanged": (xml(size="<size><width>40</width><height>60</height></size>"), FINE, "gives 40x60 pixels"),
    "another file name": (xml("<filename>other.jpg</filename>", thing((1, 1, 9, 9))), FINE, ""),
    "size of thousands of digits": (
        xml(size=f"<size><width>{'9' * 5000}</width><height>4</height></size>"),
        STOPS,
        "expected at most 9 digits",
    ),
    "1-based corner": (xml(thing((1, 1, 60, 40))), FINE, ""),
    "0-based corner": (xml(thing((0, 0, 59, 39))), FINE, ""),
    "one pixel": (xml(thing((60, 40, 60, 40))), FINE, ""),
    "one pixel beyond": (xml(thing((0, 0, 61, 41))), FINE, ""),
    "far beyond": (xml(thing((1, 1, 99, 40))), FINE, "leaves the image of 60x40 pixels by 39; its box was cut"),
    "far before": (xml(thing((-50, 1, 9, 40))), FINE, "by 51; its box was cut"),
    "outside": (xml(thing((70, 1, 99, 40))), STOPS, "has no area in the image of 60x40 pixels"),
    "above": (xml(thing((1, -9, 9, 0))), STOPS, "has no area in the image of 60x40 pixels"),
    "inverted in x": (xml(thing((9, 1, 2, 9))), STOPS, "has an inverted box: xmin 9, ymin 1, xmax 2, ymax 9"),
    "inverted in y": (xml(thing((1, 9, 9, 2))), STOPS, "has an inverted box"),
    "fractional": (xml(thing((1.5, 2.25, 30.75, 20.125))), FINE, ""),
    "less than a pixel": (xml(thing((5.2, 5.2, 5.4, 5.4))), FINE, ""),
    "nan": (xml(thing(("NaN", 1, 9, 9))), STOPS, "has <xmin> 'NaN'; expected a finite number"),
    "infinite": (xml(thing((1, 1, "inf", 9))), STOPS, "has <xmax> 'inf'; expected a finite number"),
    "minus infinite": (xml(thing((1, "-Infinity", 9, 9))), STOPS, "has <ymin> '-Infinity'"),
    "beyond floats": (xml(thing((1, 1, 9, "1e999"))), STOPS, "has <ymax> '1e999'; expected a finite number"),
    "beyond float32": (xml(thing((1, 1, 9, "1e300"))), FINE, "its box was cut"),
    "words": (xml(thing((1, 1, "wide", 9))), STOPS, "has <xmax> 'wide'; expected a finite number"),
    "empty number": (xml(thing((1, 1, "", 9))), STOPS, "has <xmax> ''; expected a finite number"),
    "decimal comma": (xml(thing((1, 1, "9,5", 9))), STOPS, "has <xmax> '9,5'; expected a finite number"),
    "no xmax": (xml(thing((1, 1))), STOPS, "object 1 of 1 (cat) has no <xmax>"),
    "no box": (xml("<object><name>cat</name></object>"), STOPS, "object 1 of 1 (cat) has no <bndbox>"),
    "no name": (xml("<object><bndbox/></object>"), STOPS, "object 1 of 1 has no <name>"),
    "empty name": (xml(thing((1, 1, 9, 9), "  ")), STOPS, "object 1 of 1 has no <name>"),
    "two names": (xml(thing((1, 1, 9, 9), extra="<name>dog</name>")), STOPS, "has <name> 2 times; expected it once"),
    "two boxes": (xml(thing((1, 1, 9, 9), extra="<bndbox/>")), STOPS, "(cat) has <bndbox> 2 times; expected it once"),
    "two corners": (xml(thing((1, 1, 9, "9</ymax><ymax>5"))), STOPS, "(cat) has <ymax> 2 times; expected it once"),
    "two flags": (xml(thing((1, 1, 9, 9), extra="<difficult>0</difficult>" * 2)), STOPS, "has <difficult> 2 times"),
    "two sizes": (xml("<size/>", thing((1, 1, 9, 9))), STOPS, "bad.xml has <size> 2 times; expected it once"),
    "two widths": (xml(size="<size><width>6</width><width>5</width></size>"), STOPS, "<size> has <width> 2 times"),
    "unknown class": (xml(thing((1, 1, 9, 9), "cta")), STOPS, "is of no class in DATA.VOC.CLASSES. Did you mean cat?"),
    "difficult in words": (xml(thing((1, 1, 9, 9), extra="<difficult>yes</difficult>")), STOPS, "<difficult> 'yes'"),
    "difficult twice": (xml(thing((1, 1, 9, 9), extra="<difficult>2</difficult>")), STOPS, "<difficult> '2'"),
    "parts": (xml(thing((1, 1, 9, 9), extra="<part><name>head</name></part>")), FINE, ""),
    "object in an object": (xml(thing((1, 1, 9, 9), extra=thing((2, 2, 3, 3)))), FINE, ""),
    "escape in a class": (xml(thing((1, 1, 9, 9), "&#27;[2J")), STOPS, "not readable as XML"),
    "a thousand objects": (xml(*[thing((1, 1, 9, 9))] * 1000), FINE, ""),
    "missing": (None, STOPS, "bad.xml: no such annotation file"),
}


OBJECTS = {
    "outside document type": 0,
    "deep": 0,
    "no object": 0,
    "size of zeros": 0,
    "size in words": 0,
    "negative size": 0,
    "sides exchanged": 0,
    "a thousand objects": 1000,
}
"""The objects of files that can be used; the others have one."""


@pytest.mark.parametrize("row", XML)
def test_annotations(voc, row):
    text, code, message = XML[row]
    found = voc(encoded(".jpg"), text, "DATA.VOC.CLASSES=[cat]")
    assert found[0] == code, found[1]
    assert message in found[1]
    assert ("stops: bad: " in found[1]) == (code == STOPS)
    # The good image has one object.
    assert counted(found[1]) == ((2, 1 + OBJECTS.get(row, 1)) if code == FINE else (1, 1))


def test_every_mistake_of_a_file_is_told(voc):
    text = xml(thing((9, 1, 2, 9)), thing((1, 1, 9, 9)), thing((1, "x", 9, 9)), thing((1, 9, 9, 2)))
    code, out = voc(encoded(".jpg"), text)
    assert code == STOPS
    assert re.findall(r"object (\d) of 4", out) == ["1", "3", "4"]


def test_what_is_left_out_on_request_does_not_stop(voc):
    code, out = voc(b"", GOOD, "DATA.ON_BAD=skip")
    assert code == FINE and "left out: bad: " in out
    assert counted(out) == (1, 1)


IDS = {
    "twice": ("good\nbad\ngood\n", STOPS, "image good is listed twice"),
    "empty": ("", STOPS, "no image to use: the split is empty"),
    "blank lines": ("\n\n", STOPS, "no image to use: the split is empty"),
    "unknown id": ("good\nnone\n", STOPS, "none.xml: no such annotation file|none.jpg: cannot read the image"),
    "path": ("good\n../../etc/passwd\n", STOPS, "test.txt: '../../etc/passwd' is no image id"),
    "absolute path": ("/etc/passwd\n", STOPS, "'/etc/passwd' is no image id"),
    "backslash": ("..\\bad\n", STOPS, "is no image id"),
    "dots": ("..\n", STOPS, "'..' is no image id"),
    "nul": ("good\nba\0d\n", STOPS, "is no image id"),
    "endless": ("x" * 5000, STOPS, "File name too long"),
    "not utf-8": (b"\xff\xfe", STOPS, "test.txt: not a text file in UTF-8"),
    "byte order mark": (b"\xef\xbb\xbfgood\nbad\n", FINE, ""),
    "windows lines": ("good\r\nbad\r\n", FINE, ""),
    "class list": ("good  1\nbad -1\n", FINE, ""),
    "control character": ("good\nba\x1b[2Jd\n", STOPS, "cannot stand in a detection file"),
}


@pytest.mark.parametrize("row", IDS)
def test_lists(voc, row):
    ids, code, message = IDS[row]
    found = voc(encoded(".jpg"), ids=ids)
    assert found[0] == code, found[1]
    assert re.search(re.escape(message).replace(r"\|", "|"), found[1])
    assert "\x1b" not in found[1]
    assert code == STOPS or counted(found[1]) == (2, 2)


@pytest.mark.parametrize("image_id", ["my photo", "a.b.c", "照片", "-1", "x y 1", "%2F", "Kühe", "..."])
def test_odd_ids_are_ids(voc, tmp_path, image_id):
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / "VOC" / folder).mkdir(parents=True)
    (tmp_path / f"VOC/Annotations/{image_id}.xml").write_text(GOOD)
    code, text = voc(encoded(".jpg"), None, name=f"{image_id}.jpg", ids=f"good\n{image_id}\n")
    assert code == FINE and counted(text) == (2, 2), text


@pytest.mark.parametrize("name", ["tv/monitor", "a.b", "my cat", "猫", "..", "/", "50%", "comp4_det_test_cat"])
def test_odd_class_names_are_classes(voc, name):
    code, text = voc(encoded(".jpg"), xml(thing((1, 1, 9, 9), name)))
    assert code == FINE and f"  {name} " in text and counted(text) == (2, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [("c\nat", "cannot stand in a detection file"), ("猫" * 40, "is too long for the name of its detection file")],
)
def test_class_names_that_no_file_can_hold_are_refused(voc, name, message):
    code, text = voc(encoded(".jpg"), xml(thing((1, 1, 9, 9), name)))
    assert code == STOPS and message in text


FOLDERS = {
    "no root": ('DATA.VOC.ROOT=""', "DATA.VOC.ROOT is empty"),
    "missing root": ("DATA.VOC.ROOT=nowhere", "no folder nowhere"),
    "file as root": ("DATA.VOC.ROOT=recipe.yaml", "no folder recipe.yaml"),
    "empty root": ("DATA.VOC.ROOT=empty", "no image in"),
    "long root": (f"DATA.VOC.ROOT={'x' * 300}", "File name too long"),
    "nul in root": ('DATA.VOC.ROOT="a\\0b"', "expected text, got"),
    "missing split": ("DATA.TEST=tset", "no split 'tset'"),
    "split as path": ("DATA.TEST=../../Annotations/good", "/../../Annotations/good'"),
    "split twice": ("DATA.TEST=[test, test]", "image good is listed twice"),
    "no splits": ("DATA.TEST=[]", "no image to use: the split is empty"),
    "class twice": ("DATA.VOC.CLASSES=[cat, cat]", "DATA.VOC.CLASSES: 'cat' stands there 2 times"),
    "no name": ("DATA.VOC.CLASSES=['']", "DATA.VOC.CLASSES: '' stands there"),
    "classes as text": ("DATA.VOC.CLASSES=cat", "expected a list, each text, got 'cat'"),
    "nothing to train on": ("DATA.VOC.VAL_FRACTION=0.9", "leave nothing to train on"),
}


@pytest.mark.parametrize("row", FOLDERS)
def test_folders_and_keys(voc, tmp_path, row):
    word, message = FOLDERS[row]
    (tmp_path / "empty").mkdir()
    code, text = voc(encoded(".jpg"), GOOD, word)
    assert code == STOPS and message in text


def instances(**changes):
    """An instances file of a good image, 1, and one to be changed, 2."""
    data = {
        "images": [
            {"id": 1, "file_name": "good.png", "height": 40, "width": 60},
            {"id": 2, "file_name": "bad.png", "height": 40, "width": 60},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 20, 20]},
            {"id": 2, "image_id": 2, "category_id": 7, "bbox": [1, 2, 20, 20]},
        ],
    }
    for key, change in changes.items():
        if isinstance(change, dict):
            data[key][-1].update(change)
        else:
            data[key] = change
    return json.dumps({key: value for key, value in data.items() if value is not None})


HUGE = 10**400
COCO = {
    "empty": ("", "instances.json:1: not readable as JSON"),
    "no json": ("images: []", "instances.json:1: not readable as JSON"),
    "not utf-8": (b"\xff\xfe{}", "not a text file in UTF-8"),
    "list": ("[]", "not an instances file"),
    "null": ("null", "not an instances file"),
    "nested without end": ("[" * 100_000, "not readable as JSON"),
    "number of thousands of digits": ('{"images": ' + "9" * 5000 + "}", "not readable as JSON"),
    "key twice": ('{"images": [], "images": [], "categories": []}', "an object has the key 'images' twice"),
    "key of an annotation twice": (
        instances().replace('"image_id": 1,', '"image_id": 1, "image_id": 2,'),
        "instances.json: not readable as JSON: an object has the key 'image_id' twice",
    ),
    "no images": (instances(images=None), "not an instances file"),
    "images as text": (instances(images="x"), "not an instances file"),
    "image as number": (instances(images=[1]), "not an instances file"),
    "no image": (instances(images=[], annotations=[]), "the split is empty"),
    "no categories": (instances(categories=None), "not an instances file"),
    "annotations as text": (instances(annotations="x"), "annotations is no list of objects"),
    "without annotations": (instances(annotations=None), "has no annotations, so it cannot be evaluated"),
    "image id twice": (instances(images={"id": 1}), "image id 1 stands there twice"),
    "image id as text": (instances(images={"id": "2"}), "image 1 has id '2'; expected a whole number"),
    "image id as truth": (instances(images={"id": True}), "image 1 has id True; expected a whole number"),
    "image id as fraction": (instances(images={"id": 2.5}), "image 1 has id 2.5; expected a whole number"),
    "no file name": (instances(images={"file_name": None}), "has file_name None"),
    "file name as list": (instances(images={"file_name": ["a"]}), "has file_name ['a']"),
    "file name with ..": (instances(images={"file_name": "../good.png"}), "expected a path inside the image folder"),
    "file name from the root": (instances(images={"file_name": "/etc/passwd"}), "expected a path inside"),
    "file name with backslash": (instances(images={"file_name": "..\\good.png"}), "expected the path of a file with /"),
    "file name with nul": (instances(images={"file_name": "a\0.png"}), "expected the path of a file with /"),
    "file name of a dot": (instances(images={"file_name": "."}), "expected a path inside the image folder"),
    "file name with a line break": (instances(images={"file_name": "a\nb.png"}), "cannot stand in a detection file"),
    "file name of half a character": (instances(images={"file_name": "\ud800.png"}), "cannot stand in a detection"),
    "file name too long": (instances(images={"file_name": "x" * 300 + ".png"}), "File name too long"),
    "missing file": (instances(images={"file_name": "none.png"}), "none.png: cannot read the image: No such file"),
    "file twice": (instances(images={"file_name": "good.png"}), "image good is listed twice"),
    "no height": (instances(images={"height": None}), ""),
    "height in full": (instances(images={"height": 40.0}), ""),
    "other height": (instances(images={"height": 41}), "gives 60x41 pixels, its image has 60x40"),
    "height of zero": (instances(images={"height": 0}), "has height 0; expected a whole number of pixels"),
    "negative width": (instances(images={"width": -60}), "has width -60; expected a whole number of pixels"),
    "width as text": (instances(images={"width": "60"}), "has width '60'; expected a whole number of pixels"),
    "width of nan": (instances(images={"width": float("nan")}), "has width nan; expected a whole number"),
    "endless width": (instances(images={"width": HUGE}), "expected a whole number of pixels"),
    "category id twice": (instances(categories={"id": 3}), "category id 3 stands there twice"),
    "category name twice": (instances(categories={"name": "cat"}), "category name 'cat' stands there twice"),
    "category name as number": (instances(categories={"name": 7}), "expected a whole number and a text"),
    "category id as list": (instances(categories={"id": [7]}), "expected a whole number and a text"),
    "category name of Chinese and slash": (instances(categories={"name": "狗/犬"}), ""),
    "category name with a line break": (instances(categories={"name": "do\ng"}), "cannot stand in a detection file"),
    "empty category name": (instances(categories={"name": ""}), "cannot stand in a detection file"),
    "annotation id twice": (instances(annotations={"id": 1}), "annotation id 1 stands there twice"),
    "no annotation id": (instances(annotations={"id": None}), "annotation 1 has id None"),
    "unknown image": (instances(annotations={"image_id": 9}), "which is not among the images"),
    "image as list": (instances(annotations={"image_id": [2]}), "which is not among the images"),
    "unknown category": (instances(annotations={"category_id": 4}), "category_id 4; expected one of [3, 7]"),
    "category as list": (instances(annotations={"category_id": [7]}), "category_id [7]; expected one of [3, 7]"),
    "category as object": (instances(annotations={"category_id": {}}), "category_id {}; expected one of [3, 7]"),
    "category as fraction": (instances(annotations={"category_id": 7.0}), "category_id 7.0; expected one of"),
    "crowd": (instances(annotations={"iscrowd": 1}), ""),
    "crowd of two": (instances(annotations={"iscrowd": 2}), "has iscrowd 2; expected 0 or 1"),
    "crowd as list": (instances(annotations={"iscrowd": []}), "has iscrowd []; expected 0 or 1"),
    "no box": (instances(annotations={"bbox": None}), "has bbox None; expected four finite numbers"),
    "box of three": (instances(annotations={"bbox": [1, 2, 3]}), "has bbox [1, 2, 3]; expected four finite"),
    "box of texts": (instances(annotations={"bbox": ["1", 2, 3, 4]}), "expected four finite numbers"),
    "box of truths": (instances(annotations={"bbox": [True, 2, 3, 4]}), "expected four finite numbers"),
    "box of nan": (instances(annotations={"bbox": [1, 2, float("nan"), 4]}), "expected four finite numbers"),
    "box without end": (instances(annotations={"bbox": [1, 2, float("inf"), 4]}), "expected four finite numbers"),
    "box of endless numbers": (instances(annotations={"bbox": [1, 2, HUGE, 4]}), "expected four finite numbers"),
    "negative box": (instances(annotations={"bbox": [9, 9, -5, -5]}), "has no area: bbox [9, 9, -5, -5]"),
    "box without area": (instances(annotations={"bbox": [9, 9, 0, 5]}), "has no area: bbox [9, 9, 0, 5]"),
    "box outside": (instances(annotations={"bbox": [70, 9, 5, 5]}), "has no area in the image of 60x40 pixels"),
    "box partly outside": (instances(annotations={"bbox": [50, 9, 50, 5]}), "by 40; its box was cut"),
    "fractional box": (instances(annotations={"bbox": [0.5, 0.25, 10.75, 5.5]}), ""),
}
ODD_COCO = {
    "no height",
    "height in full",
    "other height",
    "category name of Chinese and slash",
    "crowd",
    "box partly outside",
    "fractional box",
}


@pytest.mark.parametrize("row", COCO)
def test_instances(tmp_path, monkeypatch, capsys, row):
    monkeypatch.chdir(tmp_path)
    text, message = COCO[row]
    (tmp_path / "images").mkdir()
    for name, shade in (("good", 1), ("bad", 2)):
        (tmp_path / "images" / f"{name}.png").write_bytes(encoded(".png", RAMP // shade))
    (tmp_path / "instances.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    words = ["DATA.NAME=COCO", "DATA.TEST=all", "DATA.COCO.ANNOTATIONS=instances.json", "DATA.COCO.IMAGES=images"]
    code, out = check(capsys, tmp_path, *words)
    assert code == (FINE if row in ODD_COCO else STOPS), out
    assert code == STOPS or counted(out) == (2, 2)
    assert message in out


def test_every_mistake_of_an_instances_file_is_told(tmp_path, capsys):
    text = instances(images={"width": 0}, categories={"name": 7}, annotations={"id": 1})
    (tmp_path / "instances.json").write_text(text)
    words = [f"DATA.COCO.ANNOTATIONS={tmp_path}/instances.json", f"DATA.COCO.IMAGES={tmp_path}"]
    code, out = check(capsys, tmp_path, "DATA.NAME=COCO", "DATA.TEST=all", *words)
    assert code == STOPS and "3 problems would stop training" in out
    for mistake in ("has width 0", "has id 7, name 7", "annotation id 1 stands there twice"):
        assert mistake in out


def test_images_whose_names_are_no_utf8_are_refused(tmp_path, capsys):
    for suffix, data in ((b".png", encoded(".png")), (b".xml", GOOD.encode())):
        (tmp_path / os.fsdecode(b"\xff" + suffix)).write_bytes(data)
    code, out = check(capsys, tmp_path, f"DATA.VOC.ROOT={tmp_path}", "DATA.TEST=all")
    assert code == STOPS and "image id '\\udcff' cannot stand in a detection file" in out


def test_there_are_two_hundred_rows():
    assert len(IMAGES) + len(XML) + len(IDS) + len(FOLDERS) + len(COCO) >= 200
