"""Tests of tasksr_ros.io.stamps_in_names."""

from __future__ import annotations

import pytest

from tasksr_ros.io.stamps_in_names import NamedStamps, stamps_in_names


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("1403636579763555584", 1403636579763555584),
        ("1616004242350001", 1616004242350001000),
        ("1616004242350", 1616004242350000000),
        ("n008__CAM_FRONT__1535639716662720", 1535639716662720000),
        ("1616004242.35", 1616004242350000000),
        ("1616004242.5", 1616004242500000000),
        ("999999999.000000001", 999999999000000001),
        ("1616004242_050000000", 1616004242050000000),
        ("1616004242-950000000", 1616004242950000000),
        ("0000000000000000007", None),
        ("0000000007", None),
        ("1616004242", None),
        ("1616004242_35", None),
        ("0000001616004242350", None),
        ("frame_1616004242", None),
        ("frame_1616004242_350", None),
        ("frame_2021031718040", None),
        ("2021031718040235", None),  # dates: no microseconds of the year 2034
        ("2021031718040", None),
        ("2021031718040235012", None),
        ("1999123123595999", None),
        ("2021991718040235", 2021991718040235000),
    ],
)
def test_of_one_name(name: str, stamp: int | None) -> None:
    found = stamps_in_names([name])
    assert (found.stamps if found else None) == (None if stamp is None else [stamp])
    assert not (found and found.note)


def test_all_names_must_have_one() -> None:
    assert stamps_in_names(["1616004242.35", "preview"]) is None


@pytest.mark.parametrize(
    ("fractions", "nanoseconds", "guessed"),
    [
        (["950000000", "50000000", "0"], [950_000_000, 50_000_000, 0], True),
        (["5000000", "12345678"], [5_000_000, 12_345_678], True),
        (["350000000", "050000000"], [350_000_000, 50_000_000], False),
        (["1753041", "21121"], [175_304_100, 211_210_000], False),  # as Python writes a float
        (["95000001", "05"], [950_000_010, 50_000_000], False),
        (["123456789", "0123456"], [123_456_789, 12_345_600], False),
        (["123456789", "0"], [123_456_789, 0], False),
    ],
)
def test_seconds_and_nanoseconds_with_a_point(
    fractions: list[str], nanoseconds: list[int], guessed: bool
) -> None:
    """``f"{sec}.{nanosec}"`` is no decimal."""
    found = stamps_in_names([f"1616004242.{digits}" for digits in fractions])
    assert found is not None
    assert found.stamps == [1616004242 * 10**9 + n for n in nanoseconds]
    said = "the images' names are read as seconds and nanoseconds without leading zeros"
    assert found.note == (said if guessed else "")


@pytest.mark.parametrize(
    ("names", "stamps"),
    [
        (["frame_1616004242.35", "frame_1616004242.4"], [1616004242350000000, 1616004242400000000]),
        (["left_1403636579763555584"], [1403636579763555584]),
        (["cam0-1616004242350000000"], [1616004242350000000]),
        (["img_CAMERA1_1261228749.918590_left"], [1261228749918590000]),
        (
            ["000009_1616004242350", "000010_1616004242450"],
            [1616004242350 * 10**6, 1616004242450 * 10**6],
        ),
        (
            ["f1616004242_350000000-9", "f1616004242_450000000-10"],
            [1616004242350 * 10**6, 1616004242450 * 10**6],
        ),
        (
            ["1616004242.350.left", "1616004242.450.left"],
            [1616004242350 * 10**6, 1616004242450 * 10**6],
        ),
        (
            ["a_1000000000001_1616004242350", "a_1000000000001_1616004242450"],
            [1616004242350 * 10**6, 1616004242450 * 10**6],
        ),
        (["left_1616004242.35", "right_1616004242.35"], None),
        (["cam0_1616004242.35", "cam1_1616004242.35", "cam0_1616004242.45"], None),
        (["a_1616004242350_1616004242360", "a_1616004242450_1616004242460"], None),
        (["a_1616004242350", "a_1616004242350_2"], None),
        (["2_1616004242350", "1_1616004242450"], None),
        (["frame_1616004242.35", "frame_1616004243"], None),
    ],
)
def test_among_other_parts(names: list[str], stamps: list[int] | None) -> None:
    found = stamps_in_names(names)
    assert (found.stamps if found else None) == stamps


def test_what_is_taken_of_a_name_is_said() -> None:
    found = stamps_in_names(["left_1616004242.950000000", "left_1616004243.50000000"])
    assert found == NamedStamps(
        [1616004242950000000, 1616004243050000000],
        "'1616004242.950000000' in the name 'left_1616004242.950000000' is read as its stamp, "
        "likewise in the others; the images' names are read as seconds and nanoseconds without "
        "leading zeros",
    )
