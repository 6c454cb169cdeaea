"""Tests of tasksr_ros.bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from tasksr_ros.bundle import find_bundle, load_bundle, save_bundle, shipped_bundles
from tasksr_ros.errors import BundleError
from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detector import Detector
from tasksr_ros.networks.tdsr import TDSR


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


def edit(bundle: Path, **values: object) -> None:
    path = bundle / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def test_saved_weights_load_bit_for_bit(tmp_path: Path) -> None:
    tdsr = TDSR(build_sr("dbpn-ss", 4), Detector(0.5))
    tdsr.detector.stem[1].running_mean.fill_(0.25)
    description = {
        "name": "x",
        "sr": "dbpn-ss",
        "detector_width": 0.5,
        "scale_factor": 4,
        "classes": ["pedestrian"],
        "region_size": [320, 96],
        "score_threshold": 0.3,
        "recipe": {"steps": 1},
    }
    save_bundle(tmp_path / "x", tdsr, description, "# card\n")
    bundle = load_bundle(tmp_path / "x")
    loaded = bundle.load()
    assert not loaded.training
    assert bundle.region_size == (320, 96)
    assert bundle.recipe == {"steps": 1}
    assert (tmp_path / "x" / "README.md").read_text() == "# card\n"
    for (name, a), (_, b) in zip(
        tdsr.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def test_every_shipped_bundle_is_whole() -> None:
    names = [load_bundle(path).name for path in shipped_bundles()]
    assert "tdsr-ss-x4" in names
    assert find_bundle("tdsr-ss-x4").is_dir()
    for path in shipped_bundles():
        load_bundle(path).load()
        assert (path / "README.md").is_file()


def test_missing_bundle_names_the_shipped_ones() -> None:
    with pytest.raises(BundleError, match=r"no bundle 'nope'.*shipped bundles: .*tdsr-ss-x4"):
        load_bundle("nope")


def test_wrong_hash_is_refused(bundle: Path) -> None:
    weights = bundle / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleError, match="wrong hash: expected sha256"):
        load_bundle(bundle)


def test_missing_weights_are_named(bundle: Path) -> None:
    (bundle / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors: missing"):
        load_bundle(bundle)


def test_weights_of_another_network_are_refused(bundle: Path) -> None:
    edit(bundle, detector_width=0.5)
    with pytest.raises(BundleError, match=r"weights do not fit model\.yaml"):
        load_bundle(bundle).load()


@pytest.mark.parametrize("name", ["rbpn", "srcnn"])
def test_networks_that_do_not_take_single_images_are_refused(bundle: Path, name: str) -> None:
    edit(bundle, sr=name)
    with pytest.raises(BundleError, match=f"sr must be one of bicubic, .* got '{name}'"):
        load_bundle(bundle).load()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale_factor": "4"}, "scale_factor must be of type int, got '4'"),
        ({"region_size": [320]}, r"region_size must be \[width, height\] in px, got \[320\]"),
        ({"extra": 1}, r"unknown keys: \['extra'\]"),
    ],
)
def test_wrong_descriptions_are_refused(
    bundle: Path, values: dict[str, object], message: str
) -> None:
    edit(bundle, **values)
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "!!python/object/apply:os.system [echo]"])
def test_unreadable_descriptions_are_refused(bundle: Path, text: str) -> None:
    (bundle / "model.yaml").write_text(text)
    with pytest.raises(BundleError, match=r"model\.yaml: "):
        load_bundle(bundle)
