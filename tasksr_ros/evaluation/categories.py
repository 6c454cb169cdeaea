"""Names of categories: which of them are pedestrians."""

from __future__ import annotations

from collections.abc import Iterable

from tasksr_ros.evaluation.ids import ImageId, checked_id

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


def names_by_id(entries: object) -> dict[ImageId, str]:
    """Names of COCO ``categories`` by id; none of those without a name.

    Raises:
        ValueError: for no list, an entry without an id, or two names of one.
    """
    if not isinstance(entries, list | None):
        raise ValueError(
            f"categories must be a list of ids and names, got a {type(entries).__name__}"
        )
    names: dict[ImageId, str] = {}
    for k, entry in enumerate(entries or ()):
        category_id = checked_id(entry.get("id")) if isinstance(entry, dict) else None
        if category_id is None:
            raise ValueError(f"categories[{k}] must have an id and a name, got {entry!r:.60}")
        name = str(entry.get("name") or "").strip()
        if names.setdefault(category_id, name) != name:
            raise ValueError(
                f"category id {category_id!r} must have one name, "
                f"got {names[category_id]} and {name}"
            )
    return {i: name for i, name in names.items() if name}


def listed(names: Iterable[object]) -> str:
    """Names for a message, in order, each once."""
    return ", ".join(dict.fromkeys(str(name) for name in names)) or "none"
