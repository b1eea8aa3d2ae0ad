"""Small data sets that tests write themselves."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def picture():
    """Writes an even grey image."""
    return write_picture


def write_picture(path: Path, size=(40, 60), value=128) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, np.full((*size, 3), value, np.uint8))
    path.write_bytes(data.tobytes())
    return path


def one_object(name, box, difficult=0):
    keys = ("xmin", "ymin", "xmax", "ymax")
    edges = "".join(f"<{key}>{value}</{key}>" for key, value in zip(keys, box))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{edges}</bndbox></object>\n"


def annotation(*things, size=(40, 60)):
    height, width = size
    return (
        f"<annotation>\n<size><width>{width}</width><height>{height}</height></size>\n{''.join(things)}</annotation>\n"
    )


class VOCFolder:
    """Writes a folder in VOC's layout; ``xml(thing(...), ...)`` is the text of an annotation."""

    thing = staticmethod(one_object)
    xml = staticmethod(annotation)

    def __init__(self, root: Path):
        self.root = root

    def add(self, image_id, text=None, size=(40, 60), value=128):
        write_picture(self.root / "JPEGImages" / f"{image_id}.jpg", size, value)
        if text is not None:
            self.annotate(image_id, text)
        return self

    def annotate(self, image_id, text):
        folder = self.root / "Annotations"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{image_id}.xml").write_text(text, encoding="utf-8")
        return self

    def split(self, name, *lines):
        folder = self.root / "ImageSets" / "Main"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return self


@pytest.fixture
def voc(tmp_path):
    return VOCFolder(tmp_path / "VOC")
