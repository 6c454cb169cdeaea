"""Tests of `tasksr replay --live`: this process is the replay, a second one the node."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from tiny_replay import FAST

from tasksr_ros.evaluation.agreement import agreement
from tasksr_ros.io.make_bag import make_bag

pytestmark = pytest.mark.wire

WIDTH, HEIGHT, FRAMES = 64, 32, 8
START_S = 90.0


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(FRAMES):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index:04d}.png"), image)
    return folder


@pytest.fixture
def bag(images: Path, tmp_path: Path) -> Path:
    """The images at 10 Hz."""
    return make_bag(images, tmp_path / "bag")


def replay(
    env: dict[str, str], bundle: Path, source: Path, out: Path, *options: object
) -> subprocess.CompletedProcess[str]:
    arguments = [source, "--bundle", bundle, "--predictions", out, *FAST, *options]
    command = [sys.executable, "-m", "tasksr_ros.cli", "replay", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@contextmanager
def node(env: dict[str, str], bundle: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tasksr_ros.ros.node", "--ros-args", "-r", "__ns:=/car"]
    values = {"bundle": bundle, "engine.name": "torch", "region.mode": "full"}
    values["region.tile_overlap"] = 8
    for name, value in values.items():
        command += ["-p", f"{name}:={value}"]
    log = bundle.parent / "node.log"  # a replay that finds no node starts one of its own
    with log.open("w") as file:
        process = subprocess.Popen(command, env=env, stdout=file, stderr=file)
    try:
        wait_for(lambda: "configured:" in log.read_text(), log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(done: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not done():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_live_and_offline_agree(
    root: Path, tiny_bundle: Path, images: Path, tmp_path: Path, ros_env: dict[str, str]
) -> None:
    """Without a node, one is started; frames keep the ids that they have offline."""
    arguments = [images, "--every", 2, "--out", tmp_path / "out", "--bundle", tiny_bundle, *FAST]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.agreement", *map(str, arguments)],
        cwd=root,
        env=ros_env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "they agree" in done.stdout
    assert "starting one in /tasksr_replay" in done.stderr
    offline, live = tmp_path / "out/offline.json", tmp_path / "out/live.json"
    found = agreement(offline, live)
    assert found.holds, str(found)
    assert found.pairs > 0
    stamps = [{(e["image_id"], e["stamp_ns"]) for e in read(path)} for path in (offline, live)]
    assert stamps[1] <= stamps[0]
    told = read(tmp_path / "out/live.run.json")
    assert told["counts"]["frames"] == FRAMES // 2
    assert told["counts"]["dropped"] == 0  # each is waited for
    assert found.frames == FRAMES // 2
    assert told["mode"] == "live"
    assert told["info"]["bundle"] == str(tiny_bundle)
    assert {"decode", "engine", "total", "publish_to_detections"} <= set(told["latency_ms"])
    assert "age" not in told["latency_ms"]
    whole, inner = told["latency_ms"]["publish_to_detections"], told["latency_ms"]["total"]
    assert all(a >= b > 0 for a, b in zip(whole, inner, strict=True))


def test_a_running_node_is_used_and_dropped_frames_are_told(
    tiny_bundle: Path, bag: Path, tmp_path: Path, ros_env: dict[str, str]
) -> None:
    with node(ros_env, tiny_bundle):
        done = replay(ros_env, tiny_bundle, bag, tmp_path / "p.json", "--live")
    assert done.returncode == 0, done.stderr
    assert "the node /car/tasksr runs" in done.stderr
    told = read(tmp_path / "p.run.json")
    assert told["node"] == "/car/tasksr"
    assert told["counts"]["frames"] == FRAMES
    assert len(told["dropped"]) == told["counts"]["dropped"]


def test_listening_beside_another_player(
    tiny_bundle: Path, bag: Path, tmp_path: Path, ros_env: dict[str, str]
) -> None:
    log = tmp_path / "listener.log"
    with node(ros_env, tiny_bundle):
        arguments = [bag, "--bundle", tiny_bundle, *FAST, "--live"]
        command = [sys.executable, "-m", "tasksr_ros.cli", "replay", *map(str, arguments)]
        listener = subprocess.Popen(
            [*command, "--listen", "--predictions", str(tmp_path / "heard.json")],
            env=ros_env,
            stderr=log.open("w"),
        )
        wait_for(lambda: "listening" in log.read_text(), log)
        done = replay(ros_env, tiny_bundle, bag, tmp_path / "played.json", "--live")
        assert done.returncode == 0, done.stderr
        assert listener.wait(timeout=60) == 0
    assert (tmp_path / "heard.json").read_bytes() == (tmp_path / "played.json").read_bytes()
