import pytest

from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.stages.readers import build_reader

WIDER = "REGION_EXTRACTOR.WarpedCrops.WIDER=1.8"


@pytest.mark.parametrize(
    ("slot", "name", "words"),
    [
        ("CLASSIFIER", "Softmax", []),
        ("CLASSIFIER", "LinearSVM", ["CLASSIFIER.LinearSVM.SOFTMAX_WEIGHT=0.3"]),
        ("BOX_HEAD", "TunedBoxes", []),
    ],
)
def test_a_head_that_was_tuned_on_a_part_of_the_features_is_refused(recipe, slot, name, words):
    config = load_config(recipe, [WIDER, f"{slot}.NAME={name}", f"{slot}.LAYER=fc7", *words])
    message = rf"WarpedCrops: a region has (\d+) features of fc7, but \d+ .* {slot}.NAME: {name} cannot take over"
    with pytest.raises(ConfigError, match=message):
        build_reader(config, slot, num_classes=2)


def test_a_classifier_that_learns_reads_them_all(recipe):
    plain, wider = (
        build_reader(load_config(recipe, words), "CLASSIFIER", num_classes=2)[0].feature_dim for words in ([], [WIDER])
    )
    assert wider == 2 * plain


def test_a_head_that_was_tuned_on_all_features_is_taken_over(recipe):
    words = ["REGION_EXTRACTOR.NAME=SharedMap", "CLASSIFIER.NAME=Softmax"]
    plain, wider = (
        build_reader(load_config(recipe, [*words, *more]), "CLASSIFIER", num_classes=2)[0].feature_dim
        for more in ([], ["REGION_EXTRACTOR.SharedMap.WIDER=1.8"])
    )
    assert wider == 2 * plain
