from __future__ import annotations

import pytest

from detkit.testing import check_component


@pytest.mark.parametrize(
    "module, name",
    [("roi_pool", "RoIPool"), ("sampler", "Hierarchical"), ("objective", "MultiTask"), ("svd", "Compress")],
)
def test_parts_keep_what_their_base_classes_promise(project, module, name):
    check_component(getattr(getattr(project, module), name))


def test_aligned_regions_and_several_scales_keep_it_too(project):
    check_component(project.roi_pool.RoIPool, pool="align", short_sides=(60, 90), long_side=200)
