from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from detkit.data.cache import cache_dir
from detkit.data.images import read_image
from detkit.data.shapes import Shapes
from detkit.errors import ConfigError, DataError


def load(*splits, **keys):
    return Shapes(splits=splits or ("train",), on_bad="stop", **{"train_images": 6, "test_images": 4, **keys})


def labels(dataset):
    return [int(label) for sample in dataset for label in sample.annotations.labels]


def load_fingerprint(_):
    return load(width=64).fingerprint()


def test_splits_have_the_images_asked_for_and_are_joined():
    dataset = load("test", "train")
    assert len(dataset) == 10
    assert dataset[0].image_id == "test_000000" and dataset[9].image_id == "train_000005"
    assert dataset.class_names == ("cross", "disc", "square", "triangle")


def test_scenes_are_files_of_the_size_told():
    for sample in load():
        assert read_image(sample.path).shape == (*sample.size, 3)
        assert 160 <= sample.size[1] <= 200 and 120 <= sample.size[0] <= 150


def test_every_scene_holds_one_to_max_shapes():
    assert {len(sample.annotations) for sample in load(max_shapes=1)} == {1}
    assert {len(sample.annotations) for sample in load(train_images=12, max_shapes=3, width=64)} <= {1, 2, 3}


def test_the_seed_draws_the_scenes_and_splits_differ():
    assert load(width=64).fingerprint() == load(width=64).fingerprint()
    assert load(width=64).fingerprint() != load(width=64, seed=1).fingerprint()
    train, test = load("train", train_images=1, width=64), load("test", test_images=1, width=64)
    assert read_image(train[0].path).tobytes() != read_image(test[0].path).tobytes()


def test_an_image_does_not_depend_on_how_many_there_are():
    few, many = load(train_images=2), load(train_images=4)
    np.testing.assert_array_equal(read_image(few[1].path), read_image(many[1].path))
    assert few[1].annotations.boxes.tensor.tolist() == many[1].annotations.boxes.tensor.tolist()


def test_scenes_are_drawn_once(monkeypatch):
    before = load().fingerprint()
    monkeypatch.setattr(Shapes, "_draw", lambda *_: pytest.fail("drawn again"))
    assert load().fingerprint() == before


def test_an_interrupted_drawing_leaves_nothing_behind(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Shapes, "_draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load()
    assert list((cache_dir() / "shapes").iterdir()) == []


def test_processes_may_draw_at_once():
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        prints = list(pool.map(load_fingerprint, range(3)))
    assert set(prints) == {load(width=64).fingerprint()}
    assert len(list((cache_dir() / "shapes").iterdir())) == 1


def test_framed_images_hold_one_shape():
    dataset = load(framed=True)
    assert all(len(sample.annotations) == 1 for sample in dataset)
    assert all(sample.annotations.boxes.area()[0] > 0.5 * np.prod(sample.size) for sample in dataset)


def test_shuffled_labels_are_the_same_labels_elsewhere_and_test_keeps_its_own():
    true, shuffled = labels(load(width=64)), labels(load(width=64, shuffle_labels=True))
    assert shuffled != true and sorted(shuffled) == sorted(true)
    assert shuffled == labels(load(width=64, shuffle_labels=True))
    assert labels(load("test")) == labels(load("test", shuffle_labels=True))


def test_mistakes_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no split 'tests'\. Did you mean test\? There is: train, val, test"):
        load("tests")
    with pytest.raises(ConfigError, match=r"DATA\.Shapes\.WIDTH: 63 is too small; allowed: 64 or more"):
        load(width=63)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot keep the drawn scenes: .*; set DETKIT_CACHE to a folder"):
        load()
