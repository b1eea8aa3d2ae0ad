from __future__ import annotations

import torch

from detkit.run.shards import ImageShards, merge_images, split_images


def test_images_with_none_one_and_many_rows_survive_the_merge(tmp_path):
    images = [{"boxes": torch.rand(n, 4), "rows": torch.arange(n)} for n in (0, 1, 5)]
    merge_images(tmp_path / "x.safetensors", images)
    for one, back in zip(images, split_images(tmp_path / "x.safetensors"), strict=True):
        assert torch.equal(one["boxes"], back["boxes"])
        assert torch.equal(one["rows"], back["rows"])


def test_missing_images_are_those_not_saved(tmp_path):
    shards = ImageShards(tmp_path, "found", 3)
    shards.save(1, {"a": torch.ones(2)})
    assert ImageShards(tmp_path, "found", 3).missing(range(3)) == [0, 2]


def test_merged_shards_leave_one_file(tmp_path):
    shards = ImageShards(tmp_path, "found", 2)
    shards.save(0, {"a": torch.ones(2)})
    shards.save(1, {"a": torch.zeros(1)})
    shards.merge()
    shards.remove()
    assert [p.name for p in tmp_path.iterdir()] == ["found.safetensors"]
    assert [len(one["a"]) for one in split_images(shards.path)] == [2, 1]
