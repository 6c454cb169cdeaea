"""Tests of tasksr_ros.bundle."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tasksr_ros.bundle import (
    Bundle,
    SuperResolution,
    find_bundle,
    load_any_bundle,
    load_bundle,
    save_bundle,
    sha256,
    shipped_bundles,
)
from tasksr_ros.errors import BundleError
from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.tdsr import TDSR


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


def described(bundle: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((bundle / "model.yaml").read_text())
    return values


def edit(bundle: Path, **values: object) -> None:
    path = bundle / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def test_saved_weights_load_bit_for_bit(tmp_path: Path) -> None:
    tdsr = TDSR(build_sr("dbpn-ss", 4), Detector(0.5))
    tdsr.detector.stem[1].running_mean.fill_(0.25)
    description = {
        "name": "x",
        "sr": {"network": "dbpn-ss", "scale_factor": 4},
        "detector": {"network": "fcos", "options": {"width": 0.5}},
        "classes": ["pedestrian"],
        "region_size": [320, 96],
        "score_threshold": 0.3,
        "recipe": {"steps": 1},
    }
    save_bundle(tmp_path / "x", description, "# card\n", sr=tdsr.sr, detector=tdsr.detector)
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


def test_super_resolution_of_video_loads_as_it_was_saved(video_bundle: Path) -> None:
    bundle = load_bundle(video_bundle)
    assert bundle.sr is not None
    assert bundle.sr.options["past_only"] is True
    assert bundle.neighbours == (-1, -2)
    tdsr = bundle.load()
    assert tdsr.sr.offsets == (-1, -2)
    saved = load_file(video_bundle / "sr.safetensors")
    assert saved.keys() == tdsr.sr.state_dict().keys()
    assert all(torch.equal(value, saved[key]) for key, value in tdsr.sr.state_dict().items())


@pytest.mark.parametrize(
    ("sr", "neighbours"),
    [
        (("dbpn-ss", {}), ()),
        (("rbpn-small-4", {}), (-2, -1, 1)),
        (("rbpn", {}), (-3, -2, -1, 1, 2, 3)),
        (("rbpn", {"past_only": True}), (-1, -2, -3, -4, -5, -6)),
        (("rbpn-4", {"num_frames": 2, "past_only": 1}), (-1,)),
    ],
)
def test_a_description_tells_which_frames_are_looked_at(
    sr: tuple[str, dict[str, Any]], neighbours: tuple[int, ...]
) -> None:
    network, options = sr
    described = SuperResolution(network=network, scale_factor=4, options=options)
    assert described.neighbours == neighbours
    with torch.device("meta"):
        assert getattr(build_sr(network, 4, **options), "offsets", ()) == neighbours


def test_every_shipped_bundle_is_whole() -> None:
    names = [load_any_bundle(path).name for path in shipped_bundles()]
    assert {"tdsr-ss-x4", "dbpn-s-x2", "rbpn-small-x4", "picodet-s-x2"} <= set(names)
    assert find_bundle("tdsr-ss-x4").is_dir()
    load_bundle("tdsr-ss-x4").load()
    for path in shipped_bundles():
        bundle = load_any_bundle(path)
        if isinstance(bundle, Bundle):
            bundle.load()
        else:
            bundle.load_sr()
        assert (path / "README.md").is_file()


def test_missing_bundle_names_the_shipped_ones() -> None:
    with pytest.raises(BundleError, match=r"no bundle 'nope'.*shipped bundles: .*tdsr-ss-x4"):
        load_bundle("nope")


def test_only_bundles_that_serve_are_offered() -> None:
    """To the node, those with a detector; of super-resolution alone, dbpn-ss-x2 is the nearest."""
    with pytest.raises(BundleError) as error:
        load_bundle("dbpn-ss-x")
    offered = str(error.value).partition("shipped bundles: ")[2]
    assert "picodet-s-x2" in offered
    assert "bpn" not in offered
    assert offered.endswith("; did you mean tdsr-ss-x4?")
    with pytest.raises(BundleError, match=r"super-resolution alone .*picodet-s-x2") as error:
        load_bundle("dbpn-ss-x2")
    assert "bpn" not in str(error.value).partition("with a detector: ")[2]
    with pytest.raises(BundleError, match=r"rbpn-small-x4.*; did you mean dbpn-ss-x4\?"):
        load_any_bundle("dbpn-ss-x")


def test_wrong_hash_is_refused(bundle: Path) -> None:
    weights = bundle / "detector.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleError, match="wrong hash: expected sha256"):
        load_bundle(bundle)


def test_missing_weights_are_named(bundle: Path) -> None:
    (bundle / "detector.safetensors").unlink()
    with pytest.raises(BundleError, match=r"detector\.safetensors: missing"):
        load_bundle(bundle)


def test_weights_of_another_network_are_refused(bundle: Path) -> None:
    edit(bundle, detector={**described(bundle)["detector"], "options": {"width": 0.5}})
    with pytest.raises(BundleError, match=r"weights do not fit model\.yaml"):
        load_bundle(bundle).load()


def test_a_network_that_there_is_not_is_refused(bundle: Path) -> None:
    edit(bundle, sr={"network": "srcnn", "scale_factor": 2, "weights": "sr.safetensors"})
    with pytest.raises(BundleError, match=r"sr must be one of bicubic, .* got 'srcnn'"):
        load_bundle(bundle).load()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"sr": {"network": "dbpn-ss", "scale_factor": "4"}},
            "sr.scale_factor must be of type int",
        ),
        ({"region_size": [320]}, r"region_size must be \[width, height\] .* got \[320\]"),
        (
            {"sr": {"network": "rbpn", "scale_factor": 2, "options": {"num_frames": 1}}},
            "sr.options.num_frames must be a whole number from 2 to 64, got 1",
        ),
        (
            {"sr": {"network": "rbpn", "scale_factor": 2, "options": {"past_only": "no"}}},
            "sr.options.past_only must be true or false, got 'no'",
        ),
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


def weights(bundle: Bundle) -> dict[str, torch.Tensor]:
    return load_file(bundle.folder / "detector.safetensors")


def rehash(folder: Path) -> None:
    edit(folder, files={name: sha256(folder / name) for name in described(folder)["files"]})


def resave(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Other weights with the hash that belongs to them, as whoever makes a bundle can."""
    save_file(state, folder / "detector.safetensors")
    rehash(folder)


def test_a_pickle_is_never_loaded(bundle: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"evil": Evil()}, bundle / "detector.safetensors")
    rehash(bundle)
    with pytest.raises(BundleError, match=r"weights do not fit model\.yaml"):
        load_bundle(bundle).load()
    assert not (tmp_path / "run").exists()
    pickle.loads(pickle.dumps(Evil()))  # noqa: S301
    assert (tmp_path / "run").exists(), "the pickle would have done it"


def test_weights_that_are_not_numbers_are_refused(bundle: Path) -> None:
    state = weights(load_bundle(bundle))
    name = next(name for name, value in state.items() if value.is_floating_point())
    state[name] = torch.full_like(state[name], float("nan"))
    resave(bundle, state)
    with pytest.raises(BundleError, match=f"{name} has values that are not finite"):
        load_bundle(bundle).load()


def test_weights_of_another_type_are_refused(bundle: Path) -> None:
    state = weights(load_bundle(bundle))
    name = next(name for name, value in state.items() if value.is_floating_point())
    state[name] = state[name].to(torch.int8)
    resave(bundle, state)
    with pytest.raises(BundleError, match=f"{name} must be torch.float32, got torch.int8"):
        load_bundle(bundle).load()


def test_weights_changed_after_the_check_are_refused(bundle: Path) -> None:
    before = load_bundle(bundle)
    with (bundle / "detector.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="wrong hash"):
        before.load()


def test_weights_larger_than_memory_are_refused_unread(bundle: Path) -> None:
    with (bundle / "detector.safetensors").open("ab") as file:
        file.truncate(2**42)
    with pytest.raises(BundleError, match=r"expected at most 2147483648 bytes, got 4398046511104"):
        load_bundle(bundle)


def test_what_is_no_file_is_no_bundle(bundle: Path) -> None:
    (bundle / "detector.safetensors").unlink()
    os.mkfifo(bundle / "detector.safetensors")
    with pytest.raises(BundleError, match=r"detector\.safetensors: missing"):
        load_bundle(bundle)
    (bundle / "model.yaml").unlink()
    os.mkfifo(bundle / "model.yaml")
    with pytest.raises(BundleError, match="no bundle"):
        load_bundle(bundle)


def sr_bundle(folder: Path) -> Path:
    torch.manual_seed(3)
    description = {"name": "sr", "sr": {"network": "kbpn-small", "scale_factor": 2}, "recipe": {}}
    save_bundle(folder, description, "# sr\n", sr=build_sr("kbpn-small", 2))
    return folder


def test_a_bundle_of_super_resolution_alone(tmp_path: Path) -> None:
    folder = sr_bundle(tmp_path / "sr")
    bundle = load_any_bundle(folder)
    assert not isinstance(bundle, Bundle)
    torch.manual_seed(3)
    trained, loaded = build_sr("kbpn-small", 2).state_dict(), bundle.load_sr().state_dict()
    assert trained.keys() == loaded.keys()
    assert all(torch.equal(trained[k], loaded[k]) for k in trained)
    with pytest.raises(BundleError, match=r"expected a bundle with a detector.*kbpn-small"):
        load_bundle(folder)


def test_blind_super_resolution_before_a_detector_loads_as_it_was_saved(
    blind_bundle: Path, tmp_path: Path
) -> None:
    """Kernels come beside what is found: 7x7 SR px with a sum of 1."""
    bundle = load_bundle(blind_bundle)
    assert bundle.estimates_blur
    networks = bundle.load()
    again = tmp_path / "again"
    description = yaml.safe_load((blind_bundle / "model.yaml").read_text())
    del description["format"], description["files"]
    save_bundle(again, description, "# again\n", sr=networks.sr, detector=networks.detector)
    assert load_bundle(again).sha256 == bundle.sha256
    regions = torch.rand(2, 3, 32, 64)
    found = networks(regions)
    assert len(found) == 4
    assert found[3].shape == (2, 7, 7)
    torch.testing.assert_close(found[3].sum((1, 2)), torch.ones(2))
    assert all(map(torch.equal, found, load_bundle(again).load()(regions)))


def test_half_a_detector_is_no_bundle(tmp_path: Path) -> None:
    folder = sr_bundle(tmp_path / "sr")
    path = folder / "model.yaml"
    path.write_text(path.read_text() + "score_threshold: 0.5\n")
    with pytest.raises(BundleError, match=r"missing keys: \['detector', 'classes'"):
        load_any_bundle(folder)


def test_super_resolution_of_a_whole_bundle(tiny_bundle: Path) -> None:
    bundle = load_any_bundle(tiny_bundle)
    assert isinstance(bundle, Bundle)
    alone, part = bundle.load_sr().state_dict(), bundle.load().sr.state_dict()
    assert alone.keys() == part.keys() and all(torch.equal(alone[k], part[k]) for k in part)


def test_options_of_both_networks_are_kept_and_classes_are_real(tmp_path: Path) -> None:
    description = {
        "name": "x",
        "sr": {"network": "dbpn-ss", "scale_factor": 2, "options": {"nr": 8, "n0": 16}},
        "detector": {"network": "fcos", "options": {"width": 0.25}},
        "classes": ["pedestrian", "rider"],
        "region_size": [64, 32],
        "score_threshold": 0.5,
    }
    sr = build_sr("dbpn-ss", 2, nr=8, n0=16)
    save_bundle(tmp_path / "x", description, "", sr=sr, detector=Detector(0.25, num_classes=2))
    bundle = load_bundle(tmp_path / "x")
    assert bundle.sr is not None
    assert dict(bundle.sr.options) == {"nr": 8, "n0": 16}
    boxes, scores, class_ids = bundle.load()(torch.rand(1, 3, 32, 64))
    assert boxes.shape[1] == scores.shape[1] == class_ids.shape[1] == 672
    assert set(class_ids.unique().tolist()) <= {0, 1}


def test_what_cannot_be_loaded_again_is_not_written(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))
    before = (folder / "model.yaml").read_bytes()
    values = described(folder)
    description = {k: v for k, v in values.items() if k not in ("format", "files")}
    networks = {
        "sr": build_sr("dbpn-ss", 2),
        "detector": Detector(0.5),
    }
    with pytest.raises(BundleError, match=r"weights do not fit model\.yaml"):
        save_bundle(folder, description, "", **networks)
    assert (folder / "model.yaml").read_bytes() == before
    assert list(tmp_path.iterdir()) == [folder], "nothing is left beside it"


def test_without_super_resolution_regions_go_to_the_detector(tmp_path: Path) -> None:
    description = {
        "name": "x",
        "sr": "none",
        "detector": {"network": "fcos", "options": {"width": 0.25}},
        "classes": ["pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.5,
    }
    save_bundle(tmp_path / "x", description, "", detector=Detector(0.25))
    bundle = load_bundle(tmp_path / "x")
    assert (bundle.scale_factor, bundle.sr_size) == (1, (64, 32))
    images = torch.rand(1, 3, 32, 64)
    networks = bundle.load()
    torch.testing.assert_close(networks(images)[1], networks.detector(images)[1])
    with pytest.raises(BundleError, match="expected a bundle with super-resolution, got none"):
        bundle.load_sr()


def format_1(folder: Path, tdsr: TDSR, **values: object) -> None:
    """A bundle as it was written before format 2."""
    folder.mkdir()
    save_file(tdsr.state_dict(), folder / "weights.safetensors")
    description = {
        "name": "old",
        "sr": "dbpn-ss",
        "detector_width": 0.25,
        "scale_factor": 2,
        "classes": ["pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.5,
        "recipe": {"steps": 7},
        "weights_sha256": sha256(folder / "weights.safetensors"),
        **values,
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(description))


def test_format_1_still_loads(tmp_path: Path) -> None:
    tdsr = TDSR(build_sr("dbpn-ss", 2), Detector(0.25)).eval()
    format_1(tmp_path / "old", tdsr)
    bundle = load_bundle(tmp_path / "old")
    assert (bundle.classes, bundle.region_size, bundle.recipe) == (
        ("pedestrian",),
        (64, 32),
        {"steps": 7},
    )
    for (name, a), (_, b) in zip(
        tdsr.state_dict().items(), bundle.load().state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
    with pytest.raises(BundleError, match=r"unknown keys: \['weights'\]"):
        format_1(tmp_path / "wrong", tdsr, weights="/dev/zero")
        load_bundle(tmp_path / "wrong")


def test_format_1_of_super_resolution_alone_still_loads(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    sr = build_sr("dbpn-ss", 2, nr=8)
    save_file(sr.state_dict(), folder / "weights.safetensors")
    values = {
        "name": "old",
        "sr": "dbpn-ss",
        "scale_factor": 2,
        "sr_options": {"nr": 8},
        "recipe": {},
        "weights_sha256": sha256(folder / "weights.safetensors"),
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(values))
    loaded = load_any_bundle(folder).load_sr().state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in sr.state_dict().items())
