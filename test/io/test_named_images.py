"""Tests of tasksr_ros.io.named_images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasksr_ros.errors import RecordingError
from tasksr_ros.io.named_images import NamedImages


def files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def below(root: Path, folder: str, names: list[str], listed_in: str = "gt.json") -> dict[str, int]:
    """Position of each file found, by its path from ``root``."""
    matches = NamedImages(root / listed_in, names).below(root / folder)
    return {
        (m.folder / name).relative_to(root).as_posix(): position
        for m in matches
        for name, position in m.positions.items()
    }


def test_drives_with_the_same_file_names(tmp_path: Path) -> None:
    """As all KITTI drives have them."""
    names = [f"date/drive_{d}/data/{k}.png" for d in (1, 2) for k in (0, 1)]
    files(tmp_path, *names)
    assert below(tmp_path, "date/drive_1", names) == {
        "date/drive_1/data/0.png": 0,
        "date/drive_1/data/1.png": 1,
    }
    assert below(tmp_path, "date/drive_2/data", names) == {
        "date/drive_2/data/0.png": 2,
        "date/drive_2/data/1.png": 3,
    }
    assert below(tmp_path, "", names) == {name: k for k, name in enumerate(names)}


@pytest.mark.parametrize(
    "prefix", ["", "./", "../x/", "/elsewhere/set/", "C:\\set\\", "kitti/raw/"]
)
def test_the_beginning_of_the_path_does_not_matter(tmp_path: Path, prefix: str) -> None:
    names = [f"{prefix}{side}/0.png" for side in ("left", "right")]
    files(tmp_path, "a/left/0.png", "a/right/0.png")
    windows = [name.replace("/", "\\") for name in names]
    for listed in (names, windows):
        assert below(tmp_path, "a/left", listed) == {"a/left/0.png": 0}
        assert below(tmp_path, "a/right", listed) == {"a/right/0.png": 1}
        assert below(tmp_path, "a", listed) == {"a/left/0.png": 0, "a/right/0.png": 1}


def test_a_file_that_is_not_listed_is_none_of_another_folder(tmp_path: Path) -> None:
    """right/1.png is listed, left/1.png is not."""
    names = ["left/0.png", "right/0.png", "right/1.png"]
    files(tmp_path, "left/0.png", "left/1.png", "right/0.png")
    assert below(tmp_path, "left", names) == {"left/0.png": 0}
    assert below(tmp_path, "left", ["left/7.png", "right/1.png"]) == {}


def test_two_candidates_are_named(tmp_path: Path) -> None:
    files(tmp_path, "c/0.png")
    message = (
        r"c/0.png may be images\[0\] \(a/0.png\) or images\[1\] \(b/0.png\) of .*gt.json: "
        "expected one"
    )
    with pytest.raises(RecordingError, match=message):
        below(tmp_path, "c", ["a/0.png", "b/0.png"])
    with pytest.raises(RecordingError, match=r"images\[0\] \(c/0.png\) or images\[1\] \(c/0.png\)"):
        below(tmp_path, "c", ["c/0.png", "c/0.png"])


def test_folders_that_were_put_together_have_the_names_that_are_there_once(tmp_path: Path) -> None:
    files(tmp_path, "all/0.png", "all/1.png")
    assert below(tmp_path, "all", ["a/0.png", "b/1.png"]) == {"all/0.png": 0, "all/1.png": 1}


def test_a_folder_within_one_of_the_same_name(tmp_path: Path) -> None:
    """The list's own place tells which is meant; elsewhere, both may be."""
    files(tmp_path, "a/a/0.png", "a/0.png")
    assert below(tmp_path, "a", ["a/0.png"], "a/gt.json") == {"a/a/0.png": 0}
    assert below(tmp_path, "a", ["a/0.png"], "gt.json") == {"a/0.png": 0}
    with pytest.raises(RecordingError, match=r"the images of a in .* may be those in .*/a/a or in"):
        below(tmp_path, "a", ["a/0.png"], "labels/gt.json")


@pytest.mark.parametrize(
    ("name", "whole", "common"),
    [
        ("b/c/0.png", True, 2),
        ("x/b/c/0.png", False, 2),
        ("x/0.png", False, 0),
        ("0.png", True, 0),
        ("../b/c/0.png", True, 2),
    ],
)
def test_how_much_of_the_path_is_in_common(
    tmp_path: Path, name: str, whole: bool, common: int
) -> None:
    files(tmp_path, "a/b/c/0.png")
    (match,) = NamedImages(tmp_path / "labels/gt.json", [name]).below(tmp_path / "a/b/c")
    assert (match.whole, match.common, match.positions) == (whole, common, {"0.png": 0})


def test_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    names = [f"drive_{d}/data/0.png" for d in (1, 2)]
    files(tmp_path, *names)
    (tmp_path / "today").symlink_to("drive_2")
    assert below(tmp_path, "today", names) == {"today/data/0.png": 1}
    (tmp_path / "drive_3").symlink_to("drive_2")  # as it is named counts as well
    assert below(tmp_path, "drive_3", [*names, "drive_3/data/1.png"]) == {"drive_3/data/0.png": 1}


def test_names_that_name_no_file(tmp_path: Path) -> None:
    files(tmp_path, "a/0.png")
    assert below(tmp_path, "a", ["", "a/", "a/0.png"]) == {"a/0.png": 2}
    assert below(tmp_path, "absent", ["a/0.png"]) == {}
    assert below(tmp_path, "a", []) == {}
