"""Flags of COCO annotations, ``iscrowd`` and ``ignore``, as tools write them."""

from __future__ import annotations

_UNSET = ("", "0", "0.0", "false", "f", "no", "n", "off", "none", "null", "nan")
_SET = ("1", "1.0", "true", "t", "yes", "y", "on")
_WORDS = {**dict.fromkeys(_UNSET, False), **dict.fromkeys(_SET, True)}


def is_set(value: object) -> bool:
    """Whether a flag is set: 0 or 1, a truth value, or such a word; not given is not set.

    Raises:
        ValueError: for anything else.
    """
    if value is None:
        return False
    if isinstance(value, (bool, int, float)) and (value in (0, 1) or value != value):
        return value == 1  # a table's empty cell is nan
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in _WORDS:
        raise ValueError(f"must be 0 or 1, got {value!r:.60}")
    return _WORDS[word]
