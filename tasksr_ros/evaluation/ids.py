"""Ids of images and categories in COCO files, as tools write them."""

from __future__ import annotations

import re

ImageId = int | str


def checked_id(value: object) -> ImageId | None:
    """An id: a whole number or a text; else None.

    A text that is how a whole number is written is that number: ``"12"`` and ``12.0`` are 12,
    ``"0012"`` and ``"a12"`` stay texts.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,18}", value):
        return int(value)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    return None
