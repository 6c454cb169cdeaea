"""Tests of tasksr_ros.home."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.cache import cache_folder
from tasksr_ros.home import ensure_home


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")  # is put back, whatever the test makes of it
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def user_with(monkeypatch: pytest.MonkeyPatch, home: Path | None) -> None:
    def getpwuid(uid: int) -> SimpleNamespace:
        if home is None:
            raise KeyError(uid)
        return SimpleNamespace(pw_dir=str(home))

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)


def test_a_home_that_is_set_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", "/h")
    ensure_home()
    assert os.environ["HOME"] == "/h"
    assert not caplog.records


@pytest.mark.parametrize("unset", [False, True])
def test_else_it_is_the_users_own(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    unset: bool,
) -> None:
    user_with(monkeypatch, tmp_path)
    if unset:
        monkeypatch.delenv("HOME")
    assert cache_folder(EngineConfig()) == tmp_path / ".cache/tasksr_ros"
    assert os.environ["HOME"] == str(tmp_path)
    assert f"HOME is not set: caches and logs go to {tmp_path}" in caplog.text


@pytest.mark.parametrize("home", [None, Path("/nonexistent")])
def test_else_one_of_temporary_files_that_is_the_users_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path | None
) -> None:
    user_with(monkeypatch, home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"tasksr_ros-{os.geteuid()}"
    assert cache_folder(EngineConfig(cache_dir="~/c")) == folder / "c"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_that_another_user_laid_there_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user_with(monkeypatch, None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "trap").mkdir()
    (tmp_path / f"tasksr_ros-{os.geteuid()}").symlink_to(tmp_path / "trap")
    ensure_home()
    home = Path(os.environ["HOME"])
    assert home.parent == tmp_path
    assert home.name.startswith("tasksr_ros-")
    assert not home.is_symlink()


def test_ros_starts_without_home() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
    code = (
        "from tasksr_ros.home import ensure_home; ensure_home(); import rclpy; "
        "rclpy.init(); rclpy.shutdown(); print('up')"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "ROS_HOME", "ROS_LOG_DIR")}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.stdout.endswith("up\n"), run.stderr
