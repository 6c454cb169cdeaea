"""The Fast DDS profile for large images is read, and gives the segment that it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SEGMENT_SIZE = 64 * 2**20
PRINT_SEGMENTS = """
import rclpy
rclpy.init()
node = rclpy.create_node("talker")
print(open("/proc/self/maps").read())
"""
SEGMENT = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .*/dev/shm/fastrtps_[0-9a-f]+$", re.MULTILINE)


def largest_segment(environment: dict[str, str]) -> int:
    """Bytes of the largest piece of shared memory that a process with a node has mapped."""
    command = [sys.executable, "-c", PRINT_SEGMENTS]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return max(int(end, 16) - int(start, 16) for start, end in SEGMENT.findall(run.stdout))


@pytest.mark.wire
def test_profile_enlarges_the_shared_memory_segment(root: Path, ros_env: dict[str, str]) -> None:
    if os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp":
        pytest.skip("the profile is for Fast DDS, and another middleware is chosen")
    profile = str(root / "config" / "dds" / "fastdds_large_images.xml")
    named = {"FASTRTPS_DEFAULT_PROFILES_FILE": profile, "FASTDDS_DEFAULT_PROFILES_FILE": profile}
    assert largest_segment(ros_env) < SEGMENT_SIZE
    assert largest_segment({**ros_env, **named}) >= SEGMENT_SIZE


def test_cyclone_reads_its_profile(root: Path, tmp_path: Path) -> None:
    """By the Python package of Cyclone DDS; an element that it does not know is an error."""
    pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
    profile = root / "config" / "dds" / "cyclonedds_large_images.xml"
    misspelt = tmp_path / "misspelt.xml"
    misspelt.write_text(profile.read_text().replace("WhcHigh", "WhcHihg"))
    start = "from cyclonedds.domain import DomainParticipant; DomainParticipant(91)"
    for path, fine in ((profile, True), (misspelt, False)):
        environment = {**os.environ, "CYCLONEDDS_URI": f"file://{path}"}
        command = [sys.executable, "-c", start]
        run = subprocess.run(command, env=environment, capture_output=True, timeout=60)
        assert (run.returncode == 0) == fine, run.stderr
