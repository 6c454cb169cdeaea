"""Tests of tasksr_ros.engines.cache."""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path

import pytest

from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.cache import cache_folder, is_trusted, make_private, written_whole


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A cached model as an engine leaves it."""
    make_private(tmp_path / "cache")
    folder = tmp_path / "cache" / "model"
    folder.mkdir(mode=0o700)
    (folder / "model.xml").write_text("<net/>")
    (folder / "model.xml").chmod(0o644)
    return folder


def test_the_folder_is_the_configured_one_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("HOME", "/h")
    assert cache_folder(EngineConfig()) == Path("/x/tasksr_ros")
    assert cache_folder(EngineConfig(cache_dir="~/c")) == Path("/h/c")


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "b") == 0o700


def test_an_old_folder_that_others_may_write_is_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)
    make_private(tmp_path)
    assert mode(tmp_path) == 0o755
    assert "others could write there" in caplog.text


def test_what_only_the_owner_may_write_is_trusted(model: Path) -> None:
    assert is_trusted(model)


@pytest.mark.parametrize("what", [".", "..", "model.xml"])
def test_what_others_may_write_is_not(
    model: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = model / what
    path.chmod(mode(path) | stat.S_IWOTH)
    assert not is_trusted(model)
    assert "may be written by others" in caplog.text


def test_what_is_a_link_is_not(model: Path, tmp_path: Path) -> None:
    (tmp_path / "other.xml").write_text("<net/>")
    (model / "model.bin").symlink_to(tmp_path / "other.xml")
    assert not is_trusted(model)


def test_what_another_user_owns_is_not(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(os, "geteuid", lambda: model.stat().st_uid + 1)
        assert not is_trusted(model)
        assert "belongs to another user" in caplog.text
        with pytest.raises(PermissionError, match="belongs to another user"):
            make_private(model)


def test_what_an_ended_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    """The node ends without waiting for a conversion."""
    cache = tmp_path / "cache"
    for name, age_s in ((".partial-old", 90_000), (".partial-new", 60), ("model", 90_000)):
        (cache / name).mkdir(parents=True)
        (cache / name / "part").touch()
        then = time.time() - age_s
        os.utime(cache / name, (then, then))
    with written_whole(cache / "other") as folder:
        (folder / "model.xml").write_text("<net/>")
    assert sorted(path.name for path in cache.iterdir()) == [".partial-new", "model", "other"]
