"""Tests of tasksr_ros.evaluation.flags."""

from __future__ import annotations

import pytest

from tasksr_ros.evaluation.flags import is_set


@pytest.mark.parametrize("value", [1, True, 1.0, "1", "1.0", "true", "True ", "yes", "Y", "on"])
def test_set(value: object) -> None:
    assert is_set(value)


UNSET = [
    0,
    False,
    None,
    0.0,
    float("nan"),
    "0",
    "0.0",
    "false",
    "FALSE",
    "no",
    "N",
    "off",
    "nan",
    "",
]


@pytest.mark.parametrize("value", UNSET)
def test_not_set(value: object) -> None:
    assert not is_set(value)


@pytest.mark.parametrize("value", ["maybe", [1], {}, -1, 2, 0.5, "-1"])
def test_what_is_no_flag_is_told(value: object) -> None:
    with pytest.raises(ValueError, match="must be 0 or 1, got "):
        is_set(value)
