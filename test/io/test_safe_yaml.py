"""Tests of tasksr_ros.io.safe_yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasksr_ros.io.safe_yaml import MAX_BYTES, MAX_DEPTH, UnsafeYamlError, dump, load, parse

LAUGHS = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_what_is_dumped_is_read_again(tmp_path: Path) -> None:
    value = {"name": "ä", "list": [1, 2.5, None, True], "deep": {"a": {"b": [[]]}}}
    path = tmp_path / "x.yaml"
    path.write_text(dump(value), encoding="utf-8")
    assert load(path) == value


def test_what_stands_twice_is_written_twice() -> None:
    twice = ["a", "b"]
    assert parse(dump({"x": twice, "y": twice}).encode()) == {"x": twice, "y": twice}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "aliases"),
        ("a: &a [*a]", "aliases"),
        ("{a: &x {b: 1}, c: {<<: *x}}", "aliases"),
        ("[" * 1000, "nested deeper than 20"),
        ("a: " * 1000, "mapping values are not allowed"),
        ("!!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("2020-13-45", "month must be"),
        ("!!timestamp never", "NoneType"),
        ("!!int []", "expected a scalar"),
        ("!!float x", "could not convert"),
        ("? [a]\n: b", "unhashable"),
        ("a: [", "expected"),
        ("a\x00b", "special characters"),
        ("--- 1\n--- 2", "single document"),
    ],
)
def test_hostile_text_is_refused_in_one_short_line(text: str, message: str) -> None:
    with pytest.raises(UnsafeYamlError, match=message) as caught:
        parse(text.encode())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_depth_is_counted_from_the_top() -> None:
    parse(("[" * MAX_DEPTH + "]" * MAX_DEPTH).encode())
    with pytest.raises(UnsafeYamlError, match="nested deeper"):
        parse(("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).encode())


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    parse(b"#" * MAX_BYTES)
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: a terabyte that takes no space
    with pytest.raises(UnsafeYamlError, match="larger than 65536 bytes"):
        load(path)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnsafeYamlError, match="utf-8"):
        parse(b"\xff\xfe\x00")
