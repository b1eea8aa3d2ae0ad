import pytest

from detkit.config import load_config
from detkit.config.build import build
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops


@pytest.mark.parametrize("extractor", [WarpedCrops, SharedMap])
@pytest.mark.parametrize(
    ("input_size", "padding"),
    # 16 / 227 of the side: 0.07, 3.38, 8.11, 9.02, 11.28, 15.79, 16
    [(1, 0), (48, 3), (115, 8), (128, 9), (160, 11), (224, 16), (227, 16)],
)
def test_context_is_the_papers_share_of_the_crop(extractor, input_size, padding):
    assert extractor(input_size=input_size).padding == padding


@pytest.mark.parametrize("extractor", [WarpedCrops, SharedMap])
def test_a_given_padding_is_taken_as_it_is(extractor):
    assert [extractor(input_size=128, padding=p).padding for p in (0, 16)] == [0, 16]


def test_a_recipe_on_smaller_crops_needs_no_padding():
    words = ["BACKBONE.TorchvisionBackbone.INPUT_SIZE=128"]
    recipe, number = (
        load_config("projects/rcnn/mobilenet_svm.yaml", [*words, *more])
        for more in ((), ("REGION_EXTRACTOR.WarpedCrops.PADDING=16",))
    )
    assert [build(config, "REGION_EXTRACTOR", input_size=128).padding for config in (recipe, number)] == [9, 16]
