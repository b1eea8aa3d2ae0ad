"""The outputs of ``detkit detect`` for image files: JSON values, pictures, crops of objects and proposals."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detkit.data.exif import STORED, orientation_name, orientation_of, upright_pixels
from detkit.data.images import read_image
from detkit.detection.choice import MinScore
from detkit.detection.detector import Detector, How
from detkit.detection.found import Found
from detkit.errors import ConfigError
from detkit.report.detect_stream import PICTURES_BEHIND, seen
from detkit.structures import Proposals
from detkit.system.clock import Clock
from detkit.system.files import replacing
from detkit.visualize import Labels, write_image

Files = Sequence[tuple[str, Path]]
"""For each image the name of its picture, without the ending, and its file."""


@dataclass(frozen=True)
class Outputs:
    """The folders of the outputs; None writes none.

    Args:
        pictures: folder for a picture with boxes of each image.
        crops: folder for a crop of each detected object.
        proposals: folder for the proposals of each image, in the format of the generator ``Precomputed``.
    """

    pictures: Path | None = None
    crops: Path | None = None
    proposals: Path | None = None

    def files(self, files: Files) -> list[Path]:
        """The pictures and proposals of some images.

        Raises:
            ConfigError: if two images of one name would have the same file of proposals.
        """
        stems = [file.stem for _, file in files]
        twice = [stem for stem, count in Counter(stems).items() if count > 1]
        if self.proposals and twice:
            raise ConfigError(
                f"--save-proposals: two images are named {twice[0]}, and proposals are found by this name"
            )
        pictures = [self.pictures / f"{name}.png" for name, _ in files] if self.pictures else []
        return pictures + ([self.proposals / f"{stem}.npz" for stem in stems] if self.proposals else [])


@dataclass(frozen=True)
class _ImageFiles:
    """Image files as they are read, each turned upright from an orientation."""

    files: Files
    orientations: Sequence[int]
    thing = "image"

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray]:
        path = self.files[i][1]
        return path.stem, upright_pixels(read_image(path), self.orientations[i])


def detected(
    detector: Detector,
    files: Files,
    outputs: Outputs,
    *,
    min_score: MinScore = None,
    how: How | None = None,
    upright: bool = False,
    workers: int,
) -> tuple[list[dict[str, Any]], list[Clock]]:
    """The JSON entry of each image, and the time of its steps.

    While the network works, processes read the next images and a thread draws the last ones.

    Args:
        detector: the detector.
        files: the images.
        outputs: folders of the other outputs.
        min_score: as in ``Detector.detect``.
        how: as in ``Detector.detect``.
        upright: turns photographs as EXIF says, and boxes refer to the upright photograph; False leaves pixels as they
            are stored. Either way the JSON says how EXIF would turn a photograph.
        workers: processes; 0 reads each image when it is its turn.
    """
    labels = Labels.of(detector.class_names)
    entries: list[dict[str, Any]] = []
    clocks: list[Clock] = []
    waiting: deque[Future[None]] = deque()
    noted = [orientation_of(path) for _, path in files]
    turned = noted if upright else [STORED] * len(files)
    images = seen(detector, _ImageFiles(files, turned), min_score=min_score, workers=workers, how=how)
    with closing(images), ThreadPoolExecutor(1) as artist:
        for one in images:
            name, path = files[one.place]
            clocks.append(one.clock)
            if one.found is None or one.proposals is None:
                entries.append({"image": str(path), "error": one.error})
                continue
            exif = {"exif": orientation_name(noted[one.place])} if noted[one.place] != STORED else {}
            entries.append({"image": str(path), **exif, **one.found.plain()})
            if outputs.pictures:
                picture = outputs.pictures / f"{name}.png"
                waiting.append(artist.submit(_draw, picture, one.found, labels, one.clock))
            if outputs.crops:
                write_crops(outputs.crops, name, one.found)
            if outputs.proposals:
                _write_proposals(outputs.proposals / f"{path.stem}.npz", one.proposals)
            while len(waiting) > PICTURES_BEHIND:
                waiting.popleft().result()
        for drawn in waiting:
            drawn.result()
    return entries, clocks


def write_crops(folder: Path, name: str, found: Found) -> None:
    """Writes each object as ``<name>_<number>_<class>.png``, the best first."""
    for number, (crop, label) in enumerate(zip(found.crops(), found.labels.tolist())):
        kind = "".join(c if c.isalnum() else "_" for c in found.class_names[label])
        write_image(folder / f"{name}_{number:03d}_{kind}.png", crop)


def _draw(picture: Path, found: Found, labels: Labels, clock: Clock) -> None:
    with clock("draw"):
        write_image(picture, np.asarray(found.draw(labels)))


def _write_proposals(file: Path, proposals: Proposals) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial, partial.open("wb") as out:
        np.savez_compressed(out, boxes=proposals.boxes.numpy(), objectness=proposals.objectness.numpy())
