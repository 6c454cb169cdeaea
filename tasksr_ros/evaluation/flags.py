"""Flags of COCO annotations, ``iscrowd`` and ``ignore``, as tools write them."""

from __future__ import annotations

_WORDS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def is_set(value: object) -> bool:
    """Whether a flag is set: a number or truth value, or such a word; not given is not set.

    Raises:
        ValueError: for anything else.
    """
    if value is None:
        return False
    if isinstance(value, (bool, int, float)):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in _WORDS:
        raise ValueError(f"must be 0 or 1, got {value!r:.60}")
    return _WORDS[word]
