"""Fixtures for all tests: the shared recordings, and ROS 2 domains of a test's own."""

from __future__ import annotations

import importlib.util
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ros_client import Client

ROOT = Path(__file__).resolve().parents[1]
DOMAINS = range(1, 77)
"""Up to 101 UDP ports lie below those the system hands out; the rest is for what runs in a domain
of its own without a lock: the benchmark of transports (77), the soak (86), the demo (87) and the
check of ROS 2's tools (88). A node of theirs in a test's domain would answer the test's images."""
# The tests' tensors are small: several threads cost more time than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_TURNS = itertools.count(os.getpid())
WHEELS_HOOK_RAN = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings and reference outputs beside the checkout; skips without it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared with recordings and reference outputs")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of small networks with random weights, for regions of 64x32 px."""
    return _small_bundle(tmp_path_factory, "tiny", "dbpn-ss")


@pytest.fixture(scope="session")
def blind_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_bundle`, with super-resolution that estimates the blur: kernels of 7x7 SR px."""
    options = {"ks": 3, "kout": 7, "num_stage": 1, "md_ch": 4, "reduction_ch": 4}
    return _small_bundle(tmp_path_factory, "blind", "kbpn-small", options)


@pytest.fixture(scope="session")
def video_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_bundle`, with super-resolution of video; scores depend on the two frames before."""

    def louder(sr: Any) -> None:
        sr.output.conv.weight *= 100

    options = {"num_frames": 3, "past_only": True, "base_filter": 8, "feat": 4}
    return _small_bundle(tmp_path_factory, "tiny-video", "rbpn-small", options, louder)


def _small_bundle(
    folders: pytest.TempPathFactory,
    name: str,
    network: str,
    options: dict[str, Any] | None = None,
    change: Callable[[Any], None] = lambda sr: None,
) -> Path:
    torch = pytest.importorskip("torch")
    from tasksr_ros.bundle import save_bundle
    from tasksr_ros.networks import build_sr
    from tasksr_ros.networks.detectors.fcos import Detector

    torch.manual_seed(0)
    given = options or {}
    description = {
        "name": name,
        "sr": {"network": network, "scale_factor": 2, "options": given},
        "detector": {"network": "fcos", "options": {"width": 0.25}},
        "classes": ["pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.01,
        "recipe": {"weights": "random"},
    }
    networks = {"sr": build_sr(network, 2, **given), "detector": Detector(0.25)}
    with torch.no_grad():
        change(networks["sr"])
    folder = folders.mktemp("bundles") / name
    save_bundle(folder, description, f"# {name}\n", **networks)
    return folder


@pytest.fixture
def load_launch_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads a file of ``launch/``, for which the checkout is the package's share folder."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location("launched", root / "launch" / name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(module, "get_package_share_directory", lambda _: str(root))
        return module

    return load


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """A ROS 2 domain that no other test of this machine uses; set for this process as well.

    Pass it to ``rclpy.init(domain_id=...)``. Messages stay on this machine. Skips without ROS 2.
    """
    pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
    domain, claim = _claim_domain()
    with claim:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
        yield domain


@pytest.fixture
def client(ros_domain: int) -> Iterator[Client]:
    """Publishes and listens in the test's own ROS 2 domain."""
    from ros_client import Client

    opened = Client(ros_domain)
    yield opened
    opened.close()


@pytest.fixture
def ros_env(ros_domain: int) -> dict[str, str]:
    """Environment of a child process in the test's own ROS 2 domain."""
    env = dict(os.environ)
    if env.pop(WHEELS_HOOK_RAN, None):  # the child's own hook sets LD_LIBRARY_PATH again
        env.pop("LD_LIBRARY_PATH", None)
    return env


def _claim_domain() -> tuple[int, socket.socket]:
    """A domain, and the claim on it until that is closed.

    The claim is a name in the network in which a domain's messages travel: files would not hold
    back tests that share it but have another folder of temporary files. Each test starts at
    another domain: what a failed test leaves running stays in its own.
    """
    first = next(_TURNS) % len(DOMAINS)
    for domain in [*DOMAINS[first:], *DOMAINS[:first]]:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tasksr_ros_test_domain.{domain}")
        except OSError:
            claim.close()
        else:
            return domain, claim
    pytest.fail(f"all of the ROS 2 domains {DOMAINS[0]} to {DOMAINS[-1]} are in use")
