"""The SROS 2 policy allows what the running node does, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

OPTIONAL = {
    ("subscribe", "/image/compressed"),  # instead of /image, by parameter
    ("subscribe", "/clock"),  # with use_sim_time
    ("publish", "/annotations"),  # where foxglove_msgs is installed
}
"""What the policy allows and the node, started with its defaults, does not do."""


@pytest.fixture(scope="module")
def policy(root: Path) -> ElementTree.Element:
    return ElementTree.parse(root / "config" / "sros2" / "policy.xml").getroot()


def allowed(policy: ElementTree.Element) -> set[tuple[str, str]]:
    """(right, full name) of everything allowed, names expanded as SROS 2 does."""
    rights = set()
    for profile in policy.iter("profile"):
        namespace, node = profile.attrib["ns"].rstrip("/"), profile.attrib["node"]
        for group in profile:
            for right in group.attrib:
                for entry in group:
                    name = (entry.text or "").replace("~", f"{namespace}/{node}")
                    rights.add((right, name if name[0] == "/" else f"{namespace}/{name}"))
    return rights


def test_nothing_is_denied_and_no_name_is_a_pattern(policy: ElementTree.Element) -> None:
    assert policy.attrib == {"version": "0.2.0"}
    assert [enclave.attrib for enclave in policy.iter("enclave")] == [{"path": "/tasksr"}]
    groups = [group for profile in policy.iter("profile") for group in profile]
    assert {group.tag for group in groups} == {"topics", "services"}
    assert {value for group in groups for value in group.attrib.values()} == {"ALLOW"}
    assert not any(set(name) & set("*?[]") for _, name in allowed(policy))


def test_policy_has_the_form_that_sros2_reads(root: Path) -> None:
    api = pytest.importorskip("sros2.policy", reason="sros2 is not installed")
    api.load_policy(root / "config" / "sros2" / "policy.xml")  # validates against its schema


def start_node(bundle: Path, cache: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    values = [f"bundle:={bundle}", "engine.name:=torch", f"engine.cache_dir:={cache}"]
    parameters = [part for value in (*values, "region.tile_overlap:=8") for part in ("-p", value)]
    command = [sys.executable, "-m", "tasksr_ros.ros.node", "--ros-args", *parameters]
    return subprocess.Popen(command, env=env)


def graph_of(node: Any, name: str) -> set[tuple[str, str]]:
    """(right, full name) of what a node publishes, subscribes to, answers and asks."""
    queries = {
        "publish": node.get_publisher_names_and_types_by_node,
        "subscribe": node.get_subscriber_names_and_types_by_node,
        "reply": node.get_service_names_and_types_by_node,
        "request": node.get_client_names_and_types_by_node,
    }
    found = {r: [topic for topic, _ in query(name, "/")] for r, query in queries.items()}
    return {(right, topic) for right, topics in found.items() for topic in topics}


@pytest.mark.wire
def test_policy_is_what_the_node_does(
    policy: ElementTree.Element,
    tiny_bundle: Path,
    tmp_path: Path,
    ros_domain: int,
    ros_env: dict[str, str],
) -> None:
    import rclpy
    from rclpy.node import NodeNameNonExistentError

    expected = allowed(policy) - OPTIONAL
    rclpy.init(domain_id=ros_domain)
    process = start_node(tiny_bundle, tmp_path, ros_env)
    try:
        watcher = rclpy.create_node("watcher")
        does: set[tuple[str, str]] = set()
        deadline = time.monotonic() + 90
        while not does >= expected and time.monotonic() < deadline:
            assert process.poll() is None, "the node ended"
            time.sleep(0.2)
            try:
                does = graph_of(watcher, "tasksr")
            except NodeNameNonExistentError:
                continue
        assert does - {("publish", "/annotations")} == expected
        assert allowed(policy) >= OPTIONAL
    finally:
        process.terminate()
        process.wait(30)
        rclpy.shutdown()
