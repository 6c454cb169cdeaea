"""What else names the images of a COCO file, where predictions do not use their ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tasksr_ros.evaluation.ids import ImageId, checked_id


def other_ids(images: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[ImageId, int]]]:
    """In words what the names are, and the place of the image that each alone has.

    Args:
        images: COCO entries.
    """
    names = [PurePosixPath(str(e.get("file_name") or "").replace("\\", "/")) for e in images]
    kinds: dict[str, list[object]] = {
        "file names": [name.name for name in names],
        "file names with their folders": [str(name) for name in names],
        "file names without their suffix": [name.stem for name in names],
        "paths without their suffix": [str(name)[: -len(name.suffix) or None] for name in names],
        "the numbers of their files": [_number(name.stem) for name in names],
        "their frame numbers": [entry.get("frame") for entry in images],
    }
    for told, keys in kinds.items():
        yield told, _once([checked_id(key) for key in keys])
    by_name = sorted(range(len(names)), key=lambda k: str(names[k]))
    for first in (0, 1):
        yield f"counted from {first}", {first + k: k for k in range(len(names))}
        told = f"counted from {first} in the order of the file names"
        yield told, {first + place: k for place, k in enumerate(by_name)}


def they_look_like(ids: Iterable[ImageId], images: Sequence[Mapping[str, Any]]) -> str:
    """Which of `other_ids` ids are, all of them; "" for none."""
    wanted = set(ids)
    return next((told for told, known in other_ids(images) if wanted <= known.keys()), "")


def _number(stem: str) -> int | None:
    """The last number in a name."""
    digits = re.findall(r"[0-9]{1,19}", stem)
    return int(digits[-1]) if digits else None


def _once(keys: Sequence[ImageId | None]) -> dict[ImageId, int]:
    """Key -> its place, of those that stand there once."""
    places: dict[ImageId, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None and key not in ("", "."):
            places.setdefault(key, []).append(place)
    return {key: where[0] for key, where in places.items() if len(where) == 1}
