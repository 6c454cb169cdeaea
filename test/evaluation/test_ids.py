"""Tests of tasksr_ros.evaluation.ids."""

from __future__ import annotations

import pytest

from tasksr_ros.evaluation.ids import checked_id


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, 12),
        (12.0, 12),
        ("12", 12),
        ("0", 0),
        ("1403636579763555584", 1403636579763555584),  # a stamp, ns
        ("-3", -3),
        ("0012", "0012"),
        ("12.0", "12.0"),
        ("a12", "a12"),
        ("1" * 30, "1" * 30),
        ("", ""),
        (None, None),
        (True, None),
        (1.5, None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_a_text_of_a_whole_number_is_that_number(value: object, expected: object) -> None:
    assert checked_id(value) == expected
    assert type(checked_id(value)) is type(expected)
