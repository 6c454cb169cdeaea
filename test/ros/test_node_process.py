"""The node's process: how it ends, starts again after a kill, and lives with a full disk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from ros_client import (
    RED_NODE,
    RED_PARAMETERS,
    WAIT_S,
    Camera,
    Client,
    Diagnostics,
    Expected,
    start,
)
from vision_msgs.msg import Detection2DArray

from tasksr_ros.ros.ending import GRACE_S, RELEASE_S

pytestmark = pytest.mark.wire


def red_process(env: dict[str, str], bundle: Path, *faults: str, **parameters: object):  # type: ignore[no-untyped-def]
    return start(env, RED_NODE, "5", *faults, bundle=str(bundle), **RED_PARAMETERS, **parameters)


def play_until(client: Client, camera: Camera, arrays: list[Detection2DArray], count: int) -> None:
    """Publish at 30 Hz, whether or not anyone listens, until that many answers came."""
    deadline = time.monotonic() + WAIT_S
    while len(arrays) < count:
        assert time.monotonic() < deadline
        camera.send()
        client.spin(1 / 30)


def segments(pid: int | str) -> set[str]:
    """The files of the shared memory that a process has a part in."""
    found = re.findall(
        r"/dev/shm/fastrtps_[0-9a-f]{16}$", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE
    )
    return set(found)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("work_s", "again"), [(0, 0), (600, 0), (600, 3), (8, 1)])
def test_a_signal_ends_the_node_while_images_flow(
    client: Client,
    ros_env: dict[str, str],
    tiny_bundle: Path,
    sent: signal.Signals,
    work_s: float,
    again: int,
) -> None:
    """The engine works, hangs or is slow, the signal comes once or again: one end."""
    arrays = client.listen(Detection2DArray, "detections")
    faults = ("--hang-s", str(work_s), "--hang-after", "5") if work_s else ()
    before = segments("self")
    with red_process(ros_env, tiny_bundle, *faults) as process:
        camera = Camera(client)
        play_until(client, camera, arrays, 3)
        if work_s:
            client.spin(0.5)
        memory = segments(process.pid) - before
        assert memory
        begun_s = time.monotonic()
        process.send_signal(sent)
        for _ in range(again):
            client.spin(0.3)
            process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, stderr
        assert time.monotonic() - begun_s < GRACE_S + RELEASE_S
        assert "configured:" in stderr.splitlines()[0]
        # On a busy machine the camera may be found late, which is told: that is not of the end.
        told = [line for line in stderr.splitlines() if "no image on" not in line]
        assert [line for line in told if not line.startswith("[INFO]")] == []
    assert not [path for path in memory if os.path.exists(path)]
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_after_kill_9_another_node_goes_on(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    arrays = client.listen(Detection2DArray, "detections")
    camera = Camera(client)
    with red_process(ros_env, tiny_bundle) as process:
        play_until(client, camera, arrays, 3)
        process.kill()
        process.wait(timeout=WAIT_S)
    killed = len(arrays)
    with red_process(ros_env, tiny_bundle):
        play_until(client, camera, arrays, killed + 3)
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_a_full_disk_under_the_cache(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path, tmp_path: Path
) -> None:
    """The converted model is not kept; the node runs all the same, and says so."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    arrays = client.listen(Detection2DArray, "detections")
    diagnostics = Diagnostics(client)
    with (
        small_disk(cache),
        start(
            ros_env,
            bundle=str(tiny_bundle),
            engine__name="openvino",
            engine__cache_dir=str(cache),
            **RED_PARAMETERS,
        ) as process,
    ):
        assert process.stderr is not None
        client.wait(lambda: client.node.count_subscribers("image"), "the conversion", 180.0)
        camera = Camera(client)
        camera.send()
        client.wait(lambda: arrays, "detections")
        client.wait(lambda: diagnostics.state("engine") == (0, "ok"), "diagnostics")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, stderr
        assert "the converted model is not kept" in stderr
        assert not list(cache.iterdir())  # nothing half written is left
    assert arrays[0].header == camera.sent[0].header


class small_disk:  # noqa: N801
    """A file system of 64 KiB on a folder; skips where mounting is not allowed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        mount = shutil.which("mount")
        if mount is None or os.geteuid():
            pytest.skip("a file system that is full can only be mounted by root")
        command = [mount, "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(self._folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("file systems cannot be mounted here")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self._folder)], check=True)
