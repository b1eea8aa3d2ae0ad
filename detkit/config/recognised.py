"""Which data set the folder DATA.ROOT holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.errors import ConfigError
from detkit.registry import DATASETS


def take_recognised(data: dict[str, Any], origins: Mapping[str, str]) -> None:
    """Sets DATA.NAME and that data set's ROOT from DATA.ROOT.

    Nothing is set where a key that locates the data set itself is set later. Where no data set knows the folder, NAME
    stays, and opening it tells what is wrong.

    Args:
        data: the section DATA; is changed.
        origins: where each key was set, in the order in which they were set.

    Raises:
        ConfigError: it is a file, or several data sets know the folder.
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
    """Why each registered data set takes a folder for its own; empty where none does, or there is no such folder."""
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
