"""Recognition of the data set in the folder DATA.ROOT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.errors import ConfigError
from detkit.registry import DATASETS


def take_recognised(data: dict[str, Any], origins: Mapping[str, str]) -> None:
    """Sets DATA.NAME and that data set's ROOT from DATA.ROOT.

    It sets nothing if a key that locates the data set is set later. If no data set recognises the folder, NAME stays
    as it is, and opening the data set raises the error.

    Args:
        data: the section DATA; it is changed.
        origins: where each key was set, in order.

    Raises:
        ConfigError: if DATA.ROOT is a file, or several data sets recognise the folder.
    """
    root, places = data["ROOT"], list(origins)
    if not root:
        return
    if Path(root).is_file():
        raise ConfigError(
            f"{origins['DATA.ROOT']}: DATA.ROOT {root} is a file; give the folder of images and labels, or set "
            "DATA.COCO.ANNOTATIONS and DATA.COCO.IMAGES"
        )
    at = places.index("DATA.ROOT")
    if any(f"DATA.{data['NAME']}.{key}" in places[at:] for key in DATASETS.get(data["NAME"]).located_by):
        return
    if not _is_named(places, at, origins):
        claims = claims_on(Path(root))
        if len(claims) > 1:
            signs = "; ".join(f"{name}, as {why}" for name, why in claims.items())
            raise ConfigError(
                f"{origins['DATA.ROOT']}: DATA.ROOT {root} may be several data sets: {signs}; add DATA.NAME="
                f"{next(iter(claims))} or another one"
            )
        data["NAME"] = next(iter(claims), data["NAME"])
    for key in DATASETS.get(data["NAME"]).located_by:
        data[data["NAME"]][key] = root if key == "ROOT" else ""


def claims_on(root: Path) -> dict[str, str]:
    """The sign by which each data set recognises a folder; empty if none does, or there is no such folder."""
    if not root.exists():
        return {}
    found = {name: DATASETS.get(name).recognises(root) for name in DATASETS.names()}
    return {name: why for name, why in found.items() if why}


def _is_named(places: list[str], at: int, origins: Mapping[str, str]) -> bool:
    """Whether DATA.NAME was set behind DATA.ROOT or in the same place, so that it is meant for it."""
    if "DATA.NAME" not in places:
        return False
    same_file = origins["DATA.NAME"].rpartition(":")[0] == origins["DATA.ROOT"].rpartition(":")[0]
    return same_file or places.index("DATA.NAME") > at
