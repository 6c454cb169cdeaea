"""Tests of tasksr_ros.ros.transport."""

from __future__ import annotations

from pathlib import Path

from tasksr_ros.ros.transport import transport_environment


def test_profile_exists_and_is_named_for_both_distributions(root: Path) -> None:
    added = transport_environment(root, {})
    profiles = {added.pop("FASTRTPS_DEFAULT_PROFILES_FILE")}
    profiles.add(added.pop("FASTDDS_DEFAULT_PROFILES_FILE"))
    assert len(profiles) == 1
    assert Path(profiles.pop()).is_file()
    assert set(added) == {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}


def test_the_users_settings_are_kept(root: Path) -> None:
    theirs = {
        "FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml",
        "FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml",
        "MALLOC_TRIM_THRESHOLD_": "1",
    }
    assert set(transport_environment(root, theirs)) == {"MALLOC_MMAP_THRESHOLD_"}
