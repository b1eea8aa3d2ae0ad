"""Proposals that another program computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch

from detkit.errors import ConfigError, DataError
from detkit.proposals.base import ProposalGenerator
from detkit.proposals.stored import read_mat, read_npz
from detkit.registry import PROPOSAL_GENERATORS
from detkit.structures import Boxes, Proposals


@PROPOSAL_GENERATORS.register()
class Precomputed(ProposalGenerator):
    """Proposals read from files, found by image id.

    ``path`` is one of
    - a folder of ``<image id>.npz`` (``boxes``, and ``objectness`` if there is any), ``<image id>.mat`` or
      ``<image id>_boxes.mat`` (``boxes``);
    - one ``.npz`` with an array of boxes for each image id;
    - one ``.mat`` with cell arrays ``images`` (ids) and ``boxes``, as the authors of selective search published for
      VOC2007.

    Boxes in ``.npz`` are continuous x1, y1, x2, y2 with x2 and y2 exclusive, as everywhere in detkit. Boxes in ``.mat``
    are inclusive pixels, and need ``order`` and ``base``. These two have no default, since a wrong value moves boxes,
    which may then still be inside the image.

    Args:
        path: the folder or file.
        order: order of the columns in a ``.mat``; the VOC2007 file and R-CNN's own files have y first.
        base: number of the first pixel in a ``.mat``: 1 if MATLAB wrote it, 0 if Python did.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.savez(folder / "000001.npz", boxes=np.array([[10.0, 5.0, 40.0, 25.0]]))
        >>> stored = Precomputed(path=str(folder)).propose(np.zeros((60, 90, 3), np.uint8), "000001")
        >>> stored.boxes.tensor.tolist()
        [[10.0, 5.0, 40.0, 25.0]]
    """

    def __init__(
        self,
        *,
        path: str = "",
        order: Literal["x1y1x2y2", "y1x1y2x2"] | None = None,
        base: Literal[0, 1] | None = None,
    ) -> None:
        self.path = path
        self.order = order
        self.base = base
        self._table: Mapping[str, np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}

    def files(self) -> tuple[Path, ...]:
        """The files of the stored proposals.

        Raises:
            ConfigError: if ``path`` is not set, does not exist or is no such file, or if it holds a ``.mat`` and
                ``order`` or ``base`` is not set.
        """
        path = self._existing()
        found = tuple(sorted(p for p in path.rglob("*") if p.is_file())) if path.is_dir() else (path,)
        if any(file.suffix == ".mat" for file in found):
            self._convention()
        return found

    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """The stored proposals of an image, in the order of the file.

        Raises:
            ConfigError: as for ``files``.
            DataError: if no proposals are stored for the image, a file cannot be read, or a box is not inside the
                image.
        """
        file, arrays = self._stored(image_id)
        size = (image.shape[0], image.shape[1])
        where = f"{file}: proposals of image {image_id}"
        boxes = _rows(arrays["boxes"], where)
        if file.suffix == ".mat":
            boxes = self._exclusive(boxes)
        with np.errstate(over="ignore"):
            _check(boxes.astype(np.float32), size, where)  # as Boxes will hold them
        objectness = _objectness(arrays.get("objectness", np.zeros(len(boxes))), len(boxes), where)
        return Proposals(Boxes.of(boxes), torch.from_numpy(objectness), size)

    def _exclusive(self, boxes: np.ndarray) -> np.ndarray:
        order, base = self._convention()
        if order == "y1x1y2x2":
            boxes = boxes[:, [1, 0, 3, 2]]
        return boxes - base + np.array([0, 0, 1, 1])

    def _convention(self) -> tuple[str, int]:
        """Order and base of the boxes of a .mat file."""
        if self.order is None or self.base is None:
            raise ConfigError(
                "Precomputed: a .mat file does not say how its boxes are written: set ORDER to x1y1x2y2 or y1x1y2x2, "
                f"and BASE, the number of the first pixel, to 0 or 1 (ORDER is {self.order or 'not set'}, "
                f"BASE is {'not set' if self.base is None else self.base})"
            )
        return self.order, self.base

    def _existing(self) -> Path:
        path = Path(self.path)
        if not self.path or not path.exists():
            problem = f"{self.path} does not exist" if self.path else "not set"
            raise ConfigError(f"Precomputed.PATH: {problem}; give a folder of .npz or .mat files, or one such file")
        if not path.is_dir() and path.suffix not in (".npz", ".mat"):
            raise ConfigError(f"Precomputed.PATH: {path} is neither a folder nor .npz nor .mat")
        return path

    def _stored(self, image_id: str) -> tuple[Path, Mapping[str, np.ndarray]]:
        """The file that holds an image's proposals, and its arrays."""
        if PurePosixPath(image_id).is_absolute() or ".." in PurePosixPath(image_id).parts or "\0" in image_id:
            raise DataError(f"image id {image_id!r} leads out of the folder of proposals; expected a path inside it")
        path = self._existing()
        if path.is_dir():
            return _from_folder(path, image_id)
        if self._table is None:
            self._table = _table(path)
        if image_id not in self._table:
            raise DataError(f"{path}: no proposals for image {image_id!r}; it holds {len(self._table)} other images")
        return path, {"boxes": self._table[image_id]}


def _from_folder(folder: Path, image_id: str) -> tuple[Path, Mapping[str, np.ndarray]]:
    names = [f"{image_id}.npz", f"{image_id}.mat", f"{image_id}_boxes.mat"]
    for name in names:
        file = folder / name
        if file.is_file():
            arrays = read_npz(file) if file.suffix == ".npz" else read_mat(file)
            if "boxes" not in arrays:
                raise DataError(f"{file}: no array 'boxes'; it holds {', '.join(sorted(arrays)) or 'nothing'}")
            return file, arrays
    raise DataError(f"{folder}: no proposals for image {image_id!r}; looked for {', '.join(names)}")


def _table(file: Path) -> Mapping[str, np.ndarray]:
    """The boxes of each image of one file."""
    if file.suffix == ".npz":
        return read_npz(file)
    arrays = read_mat(file)
    if "images" not in arrays or "boxes" not in arrays:
        raise DataError(
            f"{file}: expected cell arrays 'images' and 'boxes', got {', '.join(sorted(arrays)) or 'nothing'}; "
            "a file of one image belongs in a folder, as <image id>.mat"
        )
    ids = ["".join(map(str, np.ravel(cell)[:1])) for cell in arrays["images"].ravel()]
    boxes = [np.asarray(cell) for cell in arrays["boxes"].ravel()]
    if len(ids) != len(boxes):
        raise DataError(f"{file}: {len(ids)} images but boxes of {len(boxes)}")
    if len(set(ids)) < len(ids) or "" in ids:
        raise DataError(f"{file}: an image id is empty or stands there twice; each image has one row")
    return dict(zip(ids, boxes, strict=True))


def _rows(boxes: np.ndarray, where: str) -> np.ndarray:
    """The stored array as (N, 4) float64; an empty one of any shape has no rows."""
    if boxes.dtype.kind not in "iuf":
        raise DataError(f"{where}: expected numbers (N, 4), got {boxes.dtype}")
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f"{where}: expected boxes (N, 4), got {boxes.shape}")
    return boxes.astype(np.float64)


def _objectness(values: np.ndarray, count: int, where: str) -> np.ndarray:
    if values.dtype.kind not in "iuf" or not np.isfinite(numbers := values.astype(np.float32)).all():
        raise DataError(f"{where}: objectness is not of finite numbers, but {values.dtype}")
    if numbers.size != count:
        raise DataError(f"{where}: {count} boxes but {numbers.size} objectness values")
    return numbers.ravel()


def _check(boxes: np.ndarray, size: tuple[int, int], where: str) -> None:
    height, width = size
    # "all inside" instead of "any outside", so that a value that is no number counts as wrong.
    inside = np.all((boxes >= 0) & (boxes <= [width, height, width, height]), axis=1)
    wrong = np.flatnonzero(~inside | np.any(boxes[:, 2:] <= boxes[:, :2], axis=1))
    if len(wrong):
        row = int(wrong[0])
        problem = "has no area" if inside[row] else f"is not inside the image of {width} x {height} pixels"
        raise DataError(
            f"{where}: box {row} {problem}: {boxes[row].tolist()} (x1, y1, x2, y2, exclusive); check ORDER and BASE"
        )
