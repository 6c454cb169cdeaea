"""Names of categories: which of them are pedestrians."""

from __future__ import annotations

from collections.abc import Iterable

PEDESTRIAN = frozenset({"pedestrian", "pedestrians", "person", "persons"})
"""Words for the same, as the vehicle sets and COCO call them."""
NEIGHBOURS = frozenset({"rider", "cyclist", "person_sitting", "person sitting"})
"""Categories that look alike: protocols that know them neither count nor blame them."""


def word(name: object) -> str:
    """A category's name as it is compared: without case and spaces around it."""
    return " ".join(str(name).split()).casefold()


def is_pedestrian(name: object) -> bool:
    """Whether a category of this name is that of pedestrians."""
    return word(name) in PEDESTRIAN


def same_words(name: object) -> frozenset[str]:
    """All words for a category: of pedestrians each of `PEDESTRIAN`, else its own."""
    return PEDESTRIAN if is_pedestrian(name) else frozenset({word(name)})


def listed(names: Iterable[object]) -> str:
    """Names for a message, in order, each once."""
    return ", ".join(dict.fromkeys(str(name) for name in names)) or "none"
