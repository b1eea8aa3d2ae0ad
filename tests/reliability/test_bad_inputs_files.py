import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from scipy.io import savemat

import detkit
from detkit.backbones.weight_sources import read_weights
from detkit.errors import DataError, ModelError, WeightsError
from detkit.proposals.precomputed import Precomputed
from tests.reliability.bad_inputs import thing, tried, xml

CONFIG = {
    "empty": ("", "the file is empty"),
    "comment alone": ("# nothing\n", "the file is empty"),
    "null": ("~", "expected KEY: value lines at the top"),
    "list": ("- SEED: 1\n", "expected KEY: value lines at the top"),
    "text": ("SEED", "expected KEY: value lines at the top"),
    "two documents": ("SEED: 1\n---\nSEED: 2\n", ":2: not readable as YAML: but found another document"),
    "binary": (b"\xff\xfe\x00\x01", "is not UTF-8 text"),
    "utf-16": ("SEED: 1\n".encode("utf-16"), "is not UTF-8 text"),
    "control character": ("SEED: \x01\n", "not readable as YAML: unacceptable character"),
    "tab": ("DATA:\n\tTEST: a\n", ":2: not readable as YAML: found character '\\t'"),
    "open bracket": ("STAGES: [Detect\n", "not readable as YAML"),
    "open quote": ('OUTPUT_DIR: "x\n', "not readable as YAML"),
    "duplicate key": ("SEED: 1\nSEED: 2\n", ":2: SEED is set twice, first in line 1"),
    "unknown key": ("SEDE: 1\n", ":1: unknown key SEDE. Did you mean SEED?"),
    "unknown key with a line break": ('"SE\\nED": 1\n', "unknown key SE\\nED"),
    "unknown key with an escape": ('"\\e[2J": 1\n', "unknown key \\x1b[2J"),
    "number as key": ("1: 2\n", ":1: expected a key in words, got 1"),
    "list as key": ("? [a]\n: 2\n", ":1: expected a key in words, got ['a']"),
    "python object": ("SEED: !!python/object/apply:os.system [touch owned]\n", "could not determine a constructor"),
    "python name": ("SEED: !!python/name:os.system\n", "could not determine a constructor"),
    "own tag": ("SEED: !mine 1\n", ":1: not readable as YAML: could not determine a constructor"),
    "alias": ("STAGES: &a [Detect]\nEVALUATORS: *a\n", ":2: not readable as YAML: aliases such as *a are not read"),
    "alias bomb": ("A: &a [x, x]\nB: &b [*a, *a]\n", "aliases such as *a are not read"),
    "alias of itself": ("DATA: &a\n  VOC: *a\n", "aliases such as *a are not read"),
    "merge": ("DATA: {<<: {TEST: a}}\n", "not readable as YAML"),
    "nested without end": ("STAGES: " + "[" * 5000, "not readable as YAML"),
    "date that is none": ("SEED: 2001-99-99\n", ":1: not readable as YAML: month must be in 1..12"),
    "date": ("SEED: 2001-01-01\n", "SEED: expected a whole number 0 or more"),
    "binary tag of rubbish": ("SEED: !!binary x\n", "not readable as YAML"),
    "int tag of nothing": ('SEED: !!int ""\n', "not readable as YAML"),
    "bool tag of rubbish": ("SEED: !!bool maybe\n", "not readable as YAML"),
    "number of thousands of digits": (f"SEED: {'9' * 5000}\n", "not readable as YAML"),
    "number beyond 64 bits": (f"SEED: {10**30}\n", "SEED: expected a whole number 0 or more"),
    "float from endless digits": (f"FINETUNE: {{LR: {10**400}}}\n", "FINETUNE.LR: expected a number"),
    "nan": ("FINETUNE: {LR: .nan}\n", "FINETUNE.LR: expected a number"),
    "infinite": ("FINETUNE: {LR: .inf}\n", "FINETUNE.LR: expected a number"),
    "negative": ("SEED: -1\n", "SEED: expected a whole number 0 or more, got -1"),
    "truth for a number": ("SEED: yes\n", "SEED: expected a whole number 0 or more, got True"),
    "text for a list": ("STAGES: Detect\n", "STAGES: expected a list"),
    "mapping for a value": ("SEED: {A: 1}\n", "SEED takes a value, not the key A"),
    "value for a mapping": ("DATA: VOC\n", "DATA holds keys"),
    "unknown stage": ("STAGES: [Detct]\n", "no 'Detct'. Did you mean Detect?"),
    "unknown component": ("DATA: {NAME: Vok}\n", "DATASETS: no 'Vok'"),
    "nul": ('OUTPUT_DIR: "a\\0b"\n', "OUTPUT_DIR: expected text"),
    "half a character": ('OUTPUT_DIR: "\\ud800"\n', "OUTPUT_DIR: expected text"),
    "missing base": ("_BASE_: gone.yaml\n", ":1: _BASE_ gone.yaml: no such file"),
    "base of nothing": ("_BASE_:\n", ":1: _BASE_ None: no such file"),
    "base of keys": ("_BASE_: {A: 1}\n", "unknown key _BASE_"),
    "base of a long name": (f"_BASE_: {'x' * 300}\n", "File name too long"),
    "itself as base": ("_BASE_: bad.yaml\n", "bad.yaml: the files stand on each other: "),
    "folder as base": ("_BASE_: .\n", ":1: _BASE_ /"),
    "no project": ("PROJECT: nowhere\n", ":1: PROJECT"),
    "nul in a project": ('PROJECT: "a\\0b"\n', "bad.yaml:1: PROJECT"),
    "project that exits": ("PROJECT: exits\n", "exits cannot be imported: SystemExit: 0"),
    "project on a loop of links": ("PROJECT: loop\n", "bad.yaml:1: PROJECT"),
    "project as list": ("PROJECT: [a]\n", "is no project: it has no __init__.py"),
}


@pytest.mark.parametrize("row", CONFIG)
def test_configs(tmp_path, monkeypatch, capsys, row):
    monkeypatch.chdir(tmp_path)
    text, message = CONFIG[row]
    (tmp_path / "bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "exits").mkdir()
    (tmp_path / "exits" / "__init__.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code, out = tried(capsys, tmp_path, "config", "--config", "bad.yaml")
    assert code == 2 and message in out, out
    assert "\x1b" not in out


@pytest.mark.parametrize("words", [["x" * 300 + ".yaml"], ["."], [""], ["bad.yaml", "SEED"], ["bad.yaml", "=1"]])
def test_words_of_the_command_line(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("SEED: 1\n")
    assert tried(capsys, tmp_path, "config", "--config", *words)[0] == 2


def test_odd_configs_that_are_legal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for text in ("\ufeffSEED: 7\n", "SEED: 7\r\n", "SEED: 0x7\n", '{"SEED": 7}', "DATA:\nSEED: 7\n"):
        (tmp_path / "odd.yaml").write_bytes(text.encode())
        code, out = tried(capsys, tmp_path, "config", "--config", "odd.yaml")
        assert code == 0 and "\nSEED: 7\n" in f"\n{out}"


def result(**changes):
    return json.dumps([{"image_id": "good", "category_id": 1, "bbox": [1, 2, 9, 9], "score": 0.5, **changes}])


LINE = "good 0.5 1 2 9 9\n"
CAT = "comp4_det_test_cat.txt"
HIT, MISSED = "cat    100.0  100.0", "cat      0.0    0.0"
DETECTIONS = {
    "sound": ({CAT: LINE}, HIT),
    "comp3": ({"comp3_det_test_cat.txt": LINE}, HIT),
    "empty file": ({CAT: ""}, MISSED),
    "windows lines": ({CAT: LINE.replace("\n", "\r\n")}, HIT),
    "inverted box": ({CAT: "good 0.5 9 9 1 1\n"}, MISSED),
    "box outside": ({CAT: "good 0.5 900 900 950 950\n"}, MISSED),
    "five columns": ({CAT: "good 0.5 1 2 9\n"}, f"{CAT}:1: 5 columns; expected six"),
    "seven columns": ({CAT: "good 1 0.5 1 2 9 9\n"}, "image 'good 1' is not in the data set"),
    "words": ({CAT: "good high 1 2 9 9\n"}, "are not five finite numbers"),
    "nan score": ({CAT: "good nan 1 2 9 9\n"}, "are not five finite numbers"),
    "infinite corner": ({CAT: "good 0.5 1 2 inf 9\n"}, "are not five finite numbers"),
    "corner beyond float32": ({CAT: "good 0.5 1 2 1e39 9\n"}, "are not five finite numbers"),
    "commas": ({CAT: "good,0.5,1,2,9,9\n"}, "1 columns; expected six"),
    "unknown image": ({CAT: "god 0.5 1 2 9 9\n"}, "image 'god' is not in the data set. Did you mean good?"),
    "not utf-8": ({CAT: b"\xff\xfe"}, "not a text file in UTF-8"),
    "unknown class": ({"comp4_det_test_cow.txt": ""}, "its class is none of the data set's"),
    "class twice": ({CAT: "", "comp3_det_test_cat.txt": ""}, "class 'cat' also has comp3_det_test_cat.txt"),
    "no detection file": ({"readme.txt": ""}, "no detection files"),
    "no folder": ({}, "does not exist; expected a folder"),
    "json": ({"a.json": result()}, HIT),
    "json of a key twice": (
        {"a.json": result().replace('"score"', '"image_id": "x", "score"')},
        "a.json: not readable as JSON: an object has the key 'image_id' twice",
    ),
    "json of nothing": ({"a.json": "[]"}, MISSED),
    "json of an inverted box": ({"a.json": result(bbox=[9, 9, -5, -5])}, MISSED),
    "empty json": ({"a.json": ""}, "a.json:1: not readable as JSON"),
    "json object": ({"a.json": "{}"}, "holds a JSON dict; expected COCO results"),
    "json numbers": ({"a.json": "[1]"}, "a.json: result 0 is 1; expected"),
    "json nested without end": ({"a.json": "[" * 100_000}, "not readable as JSON"),
    "json of thousands of digits": ({"a.json": "9" * 5000}, "not readable as JSON"),
    "json not utf-8": ({"a.json": b"\xff\xfe"}, "not a text file in UTF-8"),
    "json without score": ({"a.json": '[{"image_id": "good"}]'}, "a.json: result 0 is"),
    "json image as list": ({"a.json": result(image_id=["good"])}, "image_id ['good'] is not in the data set"),
    "json unknown image": ({"a.json": result(image_id="x")}, "image_id 'x' is not in the data set"),
    "json unknown category": ({"a.json": result(category_id=9)}, "category_id 9 is not in the data set"),
    "json category as object": ({"a.json": result(category_id={})}, "category_id {} is not in the data set"),
    "json box of three": ({"a.json": result(bbox=[1, 2, 3])}, "expected four finite numbers and one"),
    "json box of nan": ({"a.json": result(bbox=[1, 2, 3, float("nan")])}, "expected four finite numbers and one"),
    "json score as text": ({"a.json": result(score="0.5")}, "expected four finite numbers and one"),
    "json score of endless digits": ({"a.json": result(score=10**400)}, "expected four finite numbers and one"),
}


@pytest.mark.parametrize("row", DETECTIONS)
def test_detections(tmp_path, monkeypatch, capsys, row):
    monkeypatch.chdir(tmp_path)
    files, message = DETECTIONS[row]
    (tmp_path / "VOC/ImageSets/Main").mkdir(parents=True)
    (tmp_path / "VOC/good.xml").write_text(xml(thing((1, 1, 9, 9))))
    (tmp_path / "VOC/ImageSets/Main/test.txt").write_text("good\n")
    (tmp_path / "r.yaml").write_text("DATA: {NAME: VOC, TEST: test, VOC: {ROOT: VOC}}\n")
    for name, content in files.items():
        (tmp_path / "found").mkdir(exist_ok=True)
        (tmp_path / "found" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    path = "found/a.json" if "a.json" in files else "found"
    code, out = tried(capsys, tmp_path, "eval", "--config", "r.yaml", "--detections", path)
    assert code == (0 if message in (HIT, MISSED) else 2), out
    assert message in out


def npz(**arrays):
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def mat(**arrays):
    data = io.BytesIO()
    savemat(data, arrays)
    return data.getvalue()


def zipped(name, content):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return data.getvalue()


def npy_of_shape(shape):
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode()


def mat_bomb():
    packed = zlib.compress(bytes(100 << 20), 9)
    return mat(a=[1])[:128] + struct.pack("<II", 15, len(packed)) + packed


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


BOX = [[0, 0, 5, 5]]
OBJECTS = np.array([{"x": 1}], object)
PROPOSALS = {
    "a.npz": {
        "empty": (b"", "not readable as .npz"),
        "text": (b"1 2 3 4", "not readable as .npz"),
        "cut": (npz(boxes=BOX)[:-30], "not readable as .npz"),
        "flipped": (npz(boxes=BOX).replace(b"\x93NUMPY", b"\x93NUMPX"), "not readable as .npz"),
        "objects": (npz(boxes=OBJECTS), "not readable as .npz of plain arrays: Object arrays cannot be loaded"),
        "bomb": (lambda: zipped("boxes.npy", bytes(100 << 20)), "bytes unpack to 104857600 or more; at most 100 times"),
        "header that lies": (zipped("boxes.npy", npy_of_shape((1 << 60, 4))), "not readable as .npz"),
        "header of a negative shape": (zipped("boxes.npy", npy_of_shape((-1, 4))), "a.npz"),
        "header of code": (zipped("boxes.npy", npy_of_shape("(print(1),)")), "not readable as .npz"),
        "member that leads out": (zipped("../boxes.npy", npz(boxes=BOX)), "no array 'boxes'"),
        "no array": (zipped("boxes.npy", b"1 2 3 4"), "no array 'boxes'; it holds nothing"),
        "less than float32 tells apart": (npz(boxes=[[9, 1, 9 + 1e-9, 5]]), "box 0 has no area"),
        "beyond float32": (npz(boxes=[[0, 0, 1e300, 5]]), "box 0 is not inside the image"),
        "no boxes": (npz(box=BOX), "no array 'boxes'; it holds box"),
        "three columns": (npz(boxes=[[1, 2, 3]]), "expected boxes (N, 4), got (1, 3)"),
        "texts": (npz(boxes=[["a"] * 4]), "expected numbers (N, 4)"),
        "complex": (npz(boxes=[[1j] * 4]), "expected numbers (N, 4)"),
        "truths": (npz(boxes=[[True] * 4]), "expected numbers (N, 4)"),
        "nan": (npz(boxes=[[0, 0, np.nan, 5]]), "box 0 is not inside the image"),
        "outside": (npz(boxes=[[0, 0, 61, 5]]), "box 0 is not inside the image of 60 x 40 pixels"),
        "inverted": (npz(boxes=[[5, 5, 1, 1]]), "box 0 has no area"),
        "objectness of texts": (npz(boxes=BOX, objectness=["a"]), "objectness is not of finite numbers, but <U1"),
        "objectness of nan": (npz(boxes=BOX, objectness=[np.nan]), "objectness is not of finite numbers"),
        "two for one": (npz(boxes=BOX, objectness=[1, 2]), "1 boxes but 2 objectness values"),
    },
    "a.mat": {
        "empty": (b"", "not readable as .mat"),
        "text": (b"no MATLAB file at all " * 9, "not readable as .mat"),
        "cut": (mat(boxes=BOX)[:-8], "not readable as .mat"),
        "bomb": (mat_bomb, "unpack to"),
        "objects": (mat(boxes=np.array([[1], ["x"]], object)), "expected numbers (N, 4)"),
        "structure": (mat(boxes={"x": 1}), "an array of class 2; numbers, text and cell arrays of them are read"),
        "no boxes": (mat(box=BOX), "no array 'boxes'"),
    },
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in PROPOSALS.items() for row in rows])
def test_proposals(tmp_path, name, row):
    data, message = PROPOSALS[name][row]
    (tmp_path / name).write_bytes(data() if callable(data) else data)  # to pack a bomb takes long
    with pytest.raises(DataError) as error:
        Precomputed(path=str(tmp_path)).propose(np.zeros((40, 60, 3), np.uint8), "a")
    assert message in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.npz", "a.mat"])
def test_a_pipe_holds_no_proposals(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="Not a regular file"):
        Precomputed(path=str(tmp_path / name)).propose(np.zeros((40, 60, 3), np.uint8), "a")


@pytest.mark.parametrize("image_id", ["../a", "/etc/a", "b/../../a", "a\0"])
def test_an_image_id_never_leads_out_of_the_folder_of_proposals(tmp_path, image_id):
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "a.npz", boxes=BOX)
    with pytest.raises(DataError, match="leads out of the folder of proposals"):
        Precomputed(path=str(tmp_path / "in")).propose(np.zeros((40, 60, 3), np.uint8), image_id)


def test_cells_that_are_empty_or_repeat_are_refused(tmp_path):
    for n, ids in enumerate((["a", "a"], ["a", ""])):
        names, boxes = np.empty(2, object), np.empty(2, object)
        names[:], boxes[:] = ids, [np.array(BOX), np.array(BOX)]
        savemat(tmp_path / f"{n}.mat", {"images": names, "boxes": boxes})
        with pytest.raises(DataError, match="an image id is empty or stands there twice"):
            Precomputed(path=str(tmp_path / f"{n}.mat")).propose(np.zeros((40, 60, 3), np.uint8), "a")


def tensors(path, metadata=None, **named):
    save_file(named or {"a": torch.zeros(4)}, path, metadata)
    return path.read_bytes()


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


FORM = {"std": "1,1,1", "mean": "0,0,0"}
SAFETENSORS = {
    "empty": (lambda p: b"", "not a safetensors file"),
    "text": (lambda p: b"no tensors", "not a safetensors file"),
    "cut": (lambda p: tensors(p)[:-4], "not a safetensors file"),
    "longer than announced": (lambda p: tensors(p) + bytes(9), "not a safetensors file"),
    "header without end": (lambda p: struct.pack("<Q", 2**63) + b"{}", "not a safetensors file"),
    "header of no json": (lambda p: struct.pack("<Q", 2) + b"{]", "not a safetensors file"),
    "offsets outside": (
        lambda p: header(a={"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 40]}),
        "not a safetensors file",
    ),
    "shape that lies": (
        lambda p: header(a={"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}) + bytes(4),
        "not a safetensors file",
    ),
    "unknown type": (
        lambda p: header(a={"dtype": "Q9", "shape": [1], "data_offsets": [0, 4]}) + bytes(4),
        "not a safetensors file",
    ),
    "std in words": (lambda p: tensors(p, {**FORM, "std": "a,b,c"}), "its metadata describe no preprocessing"),
    "std of zero": (lambda p: tensors(p, {**FORM, "std": "0,1,1"}), "its metadata describe no preprocessing"),
    "std of nan": (lambda p: tensors(p, {**FORM, "std": "nan,1,1"}), "mean and std are not all finite"),
    "mean without end": (lambda p: tensors(p, {**FORM, "mean": "inf,1,1"}), "mean and std are not all finite"),
    "scale of nan": (lambda p: tensors(p, {**FORM, "scale": "nan"}), "mean and std are not all finite"),
    "mean beyond float32": (lambda p: tensors(p, {**FORM, "mean": "1e300,1,1"}), "not all finite in float32"),
    "std below float32": (lambda p: tensors(p, {**FORM, "std": "1e-300,1,1"}), "describe no preprocessing"),
    "type of four bits": (
        lambda p: header(a={"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}) + bytes(4),
        "",
    ),
    "two means": (lambda p: tensors(p, {**FORM, "mean": "1,1"}), "its metadata describe no preprocessing"),
    "no mean": (lambda p: tensors(p, {"std": "1,1,1"}), "its metadata describe no preprocessing"),
    "channels in disorder": (lambda p: tensors(p, {**FORM, "channels": "RBG"}), "channels RBG"),
    "flat mean image": (
        lambda p: tensors(p, FORM, **{"preprocessing.mean": torch.zeros(3)}),
        "a mean image of shape (3,)",
    ),
}


@pytest.mark.parametrize("row", SAFETENSORS)
def test_safetensors(tmp_path, row):
    make, message = SAFETENSORS[row]
    path = tmp_path / "w.safetensors"
    path.write_bytes(make(path))
    with pytest.raises(WeightsError) as error:
        read_weights(str(path))
    assert str(error.value).startswith(f"weights {path}: ") and message in str(error.value)


def saved(value, **options):
    data = io.BytesIO()
    torch.save(value, data, **options)
    return data.getvalue()


PTH = {
    "empty": (lambda p: b"", "not a file of torch.save"),
    "text": (lambda p: b"no weights", "weights"),
    "cut": (lambda p: saved({"a": torch.zeros(4)})[:-40], "not a file of torch.save"),
    "bare pickle of code": (lambda p: pickle.dumps({"a": Touch(p)}), "could run code"),
    "archive of code": (lambda p: saved({"a": Touch(p)}), "could run code"),
    "old archive of code": (lambda p: saved({"a": Touch(p)}, _use_new_zipfile_serialization=False), "could run code"),
    "whole model": (lambda p: saved(torch.nn.Linear(2, 2)), "could run code"),
    "bomb": (lambda p: zipped("archive/data.pkl", bytes(100 << 20)), "bytes unpack to 104857600 or more"),
    "list": (lambda p: saved([torch.zeros(2)]), "holds no state dict"),
    "numbers": (lambda p: saved({"a": 1}), "holds no state dict"),
    "sparse": (lambda p: saved({"a": torch.eye(2).to_sparse()}), "holds no state dict"),
    "one number for many": (lambda p: saved({"a": torch.zeros(1).expand(1 << 40)}), "holds no state dict"),
}


@pytest.mark.parametrize("row", PTH)
def test_pickles_of_torch(tmp_path, row):
    make, message = PTH[row]
    (tmp_path / "w.pth").write_bytes(make(tmp_path / "owned"))
    with pytest.raises(WeightsError) as error:
        read_weights(str(tmp_path / "w.pth"))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


MODEL = {
    "class_names": ["cat"],
    "proposals": {"NAME": "SlidingWindow", "SlidingWindow": {}},
    "backbone": {"NAME": "TinyNet", "TinyNet": {"WIDTH": 8, "FC_DIM": 16, "INPUT_SIZE": 48}},
    "region_extractor": {"NAME": "WarpedCrops", "WarpedCrops": {}},
    "classifier": {"NAME": "LinearSVM", "LinearSVM": {}},
    "box_head": {"NAME": "Identity", "Identity": {}},
    "classifier_layer": "fc7",
    "box_head_layer": "pool5",
    "postprocess": {"nms_iou": 0.3},
    "compute": {"dtype": "float32"},
    "import_paths": {},
}
MODELS = {
    "empty": ("", "import_paths"),
    "list": ("[]", "missing; export it again"),
    "binary": (b"\xff\xfe", "not readable as YAML"),
    "nested without end": ("[" * 5000, "not readable as YAML"),
    "python object": ("class_names: !!python/object/apply:os.mkdir [owned]", "not readable as YAML"),
    "alias": ("a: &a [x]\nb: *a", "not readable as YAML"),
    "class names as number": ({"class_names": 5}, "class_names: expected a list, each text, got 5"),
    "class names of lists": ({"class_names": [["cat"]]}, "class_names: expected a list, each text"),
    "component as text": ({"backbone": "TinyNet"}, "backbone: expected keys and values, got 'TinyNet'"),
    "component without name": ({"backbone": {}}, "its backbone None is not registered here"),
    "component as list": ({"backbone": {"NAME": ["TinyNet"]}}, "is not registered here"),
    "unknown component": ({"backbone": {"NAME": "Evil", "Evil": {}}}, "its backbone Evil is not registered here"),
    "component without settings": ({"backbone": {"NAME": "TinyNet"}}, "backbone.TinyNet: expected keys and values"),
    "unknown setting": ({"backbone": {"NAME": "TinyNet", "TinyNet": {"X": 1}}}, "unknown key backbone.TinyNet.X"),
    "setting as text": (
        {"backbone": {"NAME": "TinyNet", "TinyNet": {"WIDTH": "8"}}},
        "backbone.TinyNet.WIDTH: expected a whole number greater than 0, got '8'",
    ),
    "unknown layer": ({"classifier_layer": "fc9"}, "no layer 'fc9' for its classifier"),
    "layer as list": ({"classifier_layer": ["fc7"]}, "classifier_layer: expected text"),
    "unknown dtype": ({"compute": {"dtype": "load"}}, "compute.dtype: expected one of float32, bfloat16, got 'load'"),
    "unknown cap": ({"postprocess": {"evil": 1}}, "unknown key postprocess.evil"),
    "cap out of range": ({"postprocess": {"nms_iou": 7}}, "postprocess.nms_iou: expected a number from 0 to 1"),
    "import paths as list": ({"import_paths": []}, "import_paths: expected keys and values"),
    "no weights": ({}, "network.safetensors: missing or damaged; export it again with detkit train"),
    "network larger than its file": (
        {"backbone": {"NAME": "TinyNet", "TinyNet": {"WIDTH": 100_000, "FC_DIM": 100_000, "INPUT_SIZE": 48}}},
        "but the network of model.yaml has",
    ),
}


@pytest.mark.parametrize("row", MODELS)
def test_model_folders(tmp_path, row):
    content, message = MODELS[row]
    text = yaml.safe_dump({**MODEL, **content}) if isinstance(content, dict) else content
    (tmp_path / "model.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    if row.startswith("network") or "layer" in row:
        from detkit.backbones.tiny import TinyNet
        from detkit.backbones.weights import save_weights

        save_weights(tmp_path / "network.safetensors", TinyNet(width=8, fc_dim=16, input_size=48))
    before = sorted(tmp_path.iterdir())
    with pytest.raises((ModelError, WeightsError)) as error:
        detkit.load(tmp_path, device="cpu")
    assert message in str(error.value) and str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["classifier", "box_head"])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.full((1, 4, 16), torch.nan), "tensor 'weight' holds values that are no finite numbers"),
        (torch.ones(1, 4, 16, dtype=torch.complex64), "tensor 'weight' holds values that are no finite numbers"),
        (torch.ones(2, 9), "tensor 'weight' is (2, 9), expected (1, "),
    ],
)
def test_what_a_model_has_learnt_is_refused_with_its_file(tmp_path, name, weight, message):
    from detkit.backbones.tiny import TinyNet
    from detkit.backbones.weights import save_weights

    content = {**MODEL, "box_head": {"NAME": "Ridge", "Ridge": {}}, "box_head_layer": "fc7"}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(content))
    save_weights(tmp_path / "network.safetensors", TinyNet(width=8, fc_dim=16, input_size=48))
    learnt = {
        "classifier": {"weight": torch.ones(1, 16), "bias": torch.zeros(1), "scale": torch.tensor(1.0)},
        "box_head": {"weight": torch.ones(1, 4, 16), "bias": torch.zeros(1, 4), "scale": torch.tensor(1.0)},
    }
    bad = weight if name == "box_head" or weight.ndim == 2 else weight[:, 0]
    for part, state in learnt.items():
        save_file({**state, "weight": bad} if part == name else state, tmp_path / f"{part}.safetensors")
    with pytest.raises(ModelError) as error:
        detkit.load(tmp_path, device="cpu")
    assert message in str(error.value) and f"{name}.safetensors: " in str(error.value)


def test_a_whole_process_answers_in_one_line_and_with_2(tmp_path):
    (tmp_path / "bad.yaml").write_text("SEED: 2001-99-99\n")
    words = [sys.executable, "-m", "detkit", "config", "--config", "bad.yaml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "bad.yaml:1: not readable as YAML" in done.stderr


def test_there_are_a_hundred_and_fifty_rows():
    tables = [CONFIG, DETECTIONS, *PROPOSALS.values(), SAFETENSORS, PTH, MODELS]
    assert sum(map(len, tables)) >= 150
