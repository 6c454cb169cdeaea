"""Tests of tasksr_ros.transport."""

from __future__ import annotations

from pathlib import Path

from tasksr_ros.transport import transport_environment


def test_profile_exists_and_allocator_is_set(root: Path) -> None:
    added = transport_environment(root, {})
    assert Path(added["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    assert set(added) == {
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
    }


def test_the_users_settings_are_kept(root: Path) -> None:
    theirs = {"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml", "MALLOC_TRIM_THRESHOLD_": "1"}
    assert set(transport_environment(root, theirs)) == {"MALLOC_MMAP_THRESHOLD_"}
    kilted = {"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in transport_environment(root, kilted)
