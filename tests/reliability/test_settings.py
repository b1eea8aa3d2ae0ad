"""A changed setting makes again exactly the stages that depend on it: a row for every key of a full config."""

from __future__ import annotations

import json
import re

import pytest

from tests.reliability.plans import check_change, leaves, of_the_core, planning, quick, steps_of

# Settings of one section, each with another legal value, and the steps whose results then are others.
TABLE = [
    ("", "", {"PROJECT": None, "OUTPUT_DIR": "elsewhere", "ARTIFACTS": "elsewhere"}),
    ("", "PFxyCRKDE", {"SEED": 4}),
    ("", "E", {"EVALUATORS": ["VOC"]}),
    ("", "", {"STAGES": None}),
    ("EVALUATION", "", {"COCO": None}),
    ("EVALUATION.ProposalRecall", "E", {"THRESHOLDS": [0.5], "COUNTS": [10], "STRICT": True, "SEED": 1}),
    ("EVALUATION.VOC", "E", {"IOU": [0.5], "GRID": "exact", "STRICT_IOU": True, "DRAWS": 10}),
    ("DATA", "aFxyCRKDE", {"FINETUNE": "val"}),
    ("DATA", "bxCRKDE", {"TRAIN": "val"}),
    ("DATA", "cyDE", {"TEST": "val"}),
    ("DATA", "FxyCRKDE", {"TRAIN_DIFFICULT": "ignore"}),
    ("DATA", "", {"NAME": None, "ROOT": None, "ON_BAD": "skip", "VAL": None, "MAX_BAD": 0.5}),
    ("DATA.Shapes", "abcFxyCRKDE", {"WIDTH": 80, "MAX_SHAPES": 3, "SEED": 1, "FRAMED": True}),
    ("DATA.Shapes", "abFxyCRKDE", {"TRAIN_IMAGES": 3}),
    ("DATA.Shapes", "FxyCRKDE", {"SHUFFLE_LABELS": True}),
    ("DATA.Shapes", "cyDE", {"TEST_IMAGES": 3}),
    ("DATA.Shapes", "", {"VAL_IMAGES": 3}),
    ("PRETRAIN_DATA", "PFxyCRKDE", {"TRAIN": "val", "VAL": ""}),
    ("PRETRAIN_DATA", "", {"NAME": None, "ON_BAD": "skip", "MAX_BAD": 0.5}),
    ("PRETRAIN_DATA.Shapes", "PFxyCRKDE", {"TRAIN_IMAGES": 9, "VAL_IMAGES": 3, "WIDTH": 80, "SEED": 1}),
    ("PRETRAIN_DATA.Shapes", "PFxyCRKDE", {"SHUFFLE_LABELS": True}),
    ("PRETRAIN_DATA.Shapes", "", {"TEST_IMAGES": 3, "MAX_SHAPES": 3, "FRAMED": None}),
    ("PROPOSALS", "abcFxyCRKDE", {"NAME": "SlidingWindow"}),
    ("PROPOSALS", "xCRKDE", {"TRAIN_MAX_BOXES": 9}),
    (
        "PROPOSALS.SelectiveSearch",
        "abcFxyCRKDE",
        {"MODE": "fast", "MIN_SIDE": 10.0, "WIDTH": 80, "NMS_IOU": 0.5, "MAX_BOXES": 9},
    ),
    ("BACKBONE", "PFxyCRKDE", {"NAME": "CaffeNet", "WEIGHTS": "random"}),
    ("BACKBONE.TinyNet", "PFxyCRKDE", {"INPUT_SIZE": 40, "WIDTH": 8, "FC_DIM": 16, "DROPOUT": 0.5, "LEVELS": [1, 2]}),
    ("REGION_EXTRACTOR", "FxyCRKDE", {"NAME": "SharedMap"}),
    ("REGION_EXTRACTOR.WarpedCrops", "FxyCRKDE", {"PADDING": 3, "MODE": "square"}),
    ("REGION_EXTRACTOR.WarpedCrops", "FxyCRKDE", {"CONTEXT": False, "FINETUNE_PIXELS": "float32"}),
    ("REGION_EXTRACTOR.WarpedCrops", "xyCRKDE", {"FEATURE_PIXELS": "float32", "MIRROR": True, "WIDER": 1.8}),
    ("REGION_SAMPLER", "FxyCRKDE", {"NAME": "ImageCentric"}),
    ("REGION_SAMPLER.FixedFraction", "FxyCRKDE", {"BATCH_SIZE": 64, "FOREGROUND_FRACTION": 0.5}),
    ("CLASSIFIER", "CKDE", {"NAME": "Softmax", "LAYER": "fc6"}),
    (
        "CLASSIFIER.LinearSVM",
        "CKDE",
        {"C": 0.01, "POSITIVE_WEIGHT": 1.0, "BIAS_SCALE": 1.0, "TARGET_NORM": 10.0, "NEGATIVE_IOU": 0.2}
        | {"IGNORE": "any_class", "TOL": 0.01, "MAX_ITER": 10, "RETRAIN_AFTER": 10, "HARD_MARGIN": -1.0}
        | {"EVICT_BELOW": -1.3, "PASSES": 2, "FOLDS": 2, "POSITIVE_IOU": 0.5, "NEGATIVES": "random"}
        | {"SOFTMAX_WEIGHT": 0.3},
    ),
    ("BOX_HEAD", "RKDE", {"NAME": "SGDLinear", "LAYER": "fc6"}),
    ("BOX_HEAD.Ridge", "RKDE", {"ALPHA": 1.0, "MIN_IOU": 0.5, "TARGET_NORM": 10.0}),
    ("BOX_HEAD.Ridge", "RKDE", {"BIAS": False, "WIDTHS": "inclusive", "CODER": "pixels"}),
    ("RUNTIME", "", {"DEVICE": "cpu", "WORKERS": 1, "THREADS": 1, "BATCH": 32, "REPORT": True} | {"TENSORBOARD": True}),
    ("COMPUTE", "PFxyCRKDE", {"DTYPE": "bfloat16"}),
    ("COMPUTE", "", {"COMPILE": None}),
    ("FEATURES", "", {"STORE": "stream", "ROLES": ["TRAIN"]}),
    ("FEATURES", "xy", {"LAYERS": ["pool5", "fc7"]}),
    (
        "POSTPROCESS",
        "KDE",
        {"TOP_PER_IMAGE": 9, "NMS_IOU": 0.5, "ONE_CLASS_PER_REGION": True, "REFINE_ABOVE": 0.0}
        | {"REFINE_ITERATIONS": 2, "RESCORE": True, "VOTE_IOU": 0.5, "VOTE_SLOPE": 2.0, "IOU_WEIGHT": 0.5},
    ),
    ("POSTPROCESS", "DE", {"TOP_PER_CLASS": 9}),
    ("CALIBRATE", "K", {"FOLDS": 3}),
    ("HELD_OUT", "", {"FOLDS": 3}),
    ("DIAGNOSIS", "", {"SIMILAR_CLASSES": [["circle", "square"]]}),
    (
        "FINETUNE",
        "FxyCRKDE",
        {"ITERATIONS": 9, "LR": 0.1, "LR_DROP_EVERY": 9, "LR_GAMMA": 0.5, "MOMENTUM": 0.5, "WEIGHT_DECAY": 0.1}
        | {"BIAS_LR_FACTOR": 1.0, "HEAD_LR_FACTOR": 1.0, "HEAD_NORM": 20.0, "HEAD_STD": 0.1, "MIRROR": False}
        | {"PARTS": 2},
    ),
    ("FINETUNE", "FxyCRKDE", {"TUNE_FROM": "fc6", "FOREGROUND_IOU": 0.7, "JITTER_BOXES": 0.1, "JITTER_COLOURS": 0.1}),
    ("FINETUNE", "FxyCRKDE", {"BACKGROUND_FROM": 0.1, "BACKGROUND_BELOW": 0.4}),
    ("FINETUNE", "", {"CHECKPOINT_EVERY": 9, "ALLOW_WHOLE_IMAGES": True, "VALIDATE_BATCHES": 3}),
    ("FINETUNE", "", {"VALIDATE_EVERY": None}),
    ("OBJECTIVE", "", {"NAME": None, "RegionSoftmax": None}),
    (
        "PRETRAIN",
        "PFxyCRKDE",
        {"ITERATIONS": 9, "LR": 0.1, "LR_DROP_EVERY": 9, "LR_GAMMA": 0.5, "MOMENTUM": 0.5, "WEIGHT_DECAY": 0.1}
        | {"BIAS_LR_FACTOR": 1.0, "HEAD_LR_FACTOR": 2.0, "HEAD_NORM": 20.0, "HEAD_STD": 0.1, "MIRROR": False}
        | {"BATCH_SIZE": 8, "RESIZE": 60, "PARTS": 2},
    ),
    ("PRETRAIN", "", {"CHECKPOINT_EVERY": 9}),
]
ROWS = {f"{section}.{key}".strip("."): (value, steps) for section, steps, keys in TABLE for key, value in keys.items()}
NOT_TRIED = {
    "PROJECT": "imports a folder; what is chosen from it has keys of its own",
    "STAGES": "which steps there are; what each gives is the same",
    "OBJECTIVE.NAME": "the core has one for regions; projects bring others",
    "OBJECTIVE.RegionSoftmax": "has no settings",
    "EVALUATION.COCO": "has no settings",
    "FINETUNE.VALIDATE_EVERY": "needs DATA.VAL; see tests/stages/test_finetune.py",
    "DATA.VAL": "thresholds are then learnt from other images, in a step of another name",
    "DATA.NAME": "the content of the images is hashed, whatever they come from",
    "PRETRAIN_DATA.NAME": "likewise",
    "DATA.ROOT": "chooses a data set by what lies in a folder; see tests/config/test_recognised.py",
    "PRETRAIN_DATA.Shapes.FRAMED": "scenes of several shapes are refused",
    "COMPUTE.COMPILE": "hashed as it works out on the machine; see test_compute",
}
"""Keys that have no other value to try here, and why."""
ALSO = {
    "CLASSIFIER.NAME": ["CLASSIFIER.LAYER=fc7"],
    "BACKBONE.NAME": ["CLASSIFIER.LAYER=fc7", "REGION_EXTRACTOR.WarpedCrops.PADDING=4"],
    "REGION_EXTRACTOR.NAME": ["FINETUNE.ALLOW_WHOLE_IMAGES=true"],
}
"""What must be set with it so that the config is legal; changes nothing itself."""


TOLD = {
    "DATA": r"DATA\.(FINETUNE|TRAIN|TEST): (the list of images is another|the (image|annotations) of \S+.* changed)",
    "DATA.TRAIN_DIFFICULT": r"DATA\.TRAIN_DIFFICULT: ignore, was use",
    "PRETRAIN_DATA": r"PRETRAIN_DATA\.(TRAIN|VAL): the (list of images is another|(image|annotations) of .* changed)",
    "PRETRAIN_DATA.VAL": r"reads the data of PRETRAIN_DATA\.TRAIN: 1 sets, was 2",
}
"""What ``detkit status`` says of a change where that is not the key with its values, as a pattern."""


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A folder for the scenes, and the steps before anything is changed."""
    folder = tmp_path_factory.mktemp("cache")
    with planning(folder):
        return folder, steps_of(quick())


def test_every_key_of_a_full_config_has_its_row():
    assert of_the_core(leaves(quick().selected())) == set(ROWS)
    assert {key for key, (value, _) in ROWS.items() if value is None} == set(NOT_TRIED)


def tried():
    """Every key that has another value; in the suite one for each set of steps, the others in the long form."""
    seen = set()
    for key, (value, steps) in ROWS.items():
        if value is not None:
            yield pytest.param(key, marks=[pytest.mark.soak] if steps in seen else [])
            seen.add(steps)


@pytest.mark.parametrize("key", tried())
def test_a_changed_setting_makes_again_what_depends_on_it(before, key):
    value, letters = ROWS[key]
    told = TOLD.get(key, TOLD.get(key.split(".")[0], rf"{re.escape(key)}\b.*: .*, was "))
    folder, old = before
    with planning(folder):
        new = steps_of(quick(f"{key}={json.dumps(value)}", *ALSO.get(key, ())))
    check_change(folder, old, new, letters, told)
