"""Tests of tasksr_ros.networks: DBPN, bicubic, detector and TDSR."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tasksr_ros.networks import SR_NAMES, build_sr
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.detectors.levels import LevelOutput, decode
from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.tdsr import TDSR, RegionDetector

PARITY = [
    "DBPN-SS_x2_rgb",
    "DBPN-SS_x4_rgb",
    "DBPN-SS_x8_rgb",
    "D-DBPN_T7_x4_narrow",
]

# The published networks' sizes (RGB, 3x3 reconstruction) at x2, x4 and x8.
PARAMETERS = {
    "dbpn-ss": (109_086, 190_734, 424_014),
    "dbpn-s": (341_518, 599_566, 1_336_846),
    "d-dbpn": (5_953_526, 10_426_358, 23_205_878),
}
# Luminance, 1x1 reconstruction.
LUMINANCE_PARAMETERS = {
    (128, 32, 4): (780_376, 1_382_488, 3_102_808),
    (128, 32, 6): (1_223_204, 2_169_380, 4_872_740),
}


def reference(shared: Path, name: str) -> tuple[DBPN, dict[str, Tensor], dict[str, Tensor]]:
    """A DBPN as a reference file describes it, the reference's state and its tensors."""
    with safe_open(shared / "parity" / f"{name}.safetensors", "pt") as file:
        arguments = json.loads(file.metadata()["constructor"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    network = DBPN(
        arguments["scale_factor"],
        arguments["num_channels"],
        n0=arguments["feat"],
        nr=arguments["base_filter"],
        num_stages=arguments["num_stages"],
        dense=name.startswith("D-DBPN"),
    )
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    return network, state, tensors


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", PARITY)
def test_output_equals_the_reference(shared: Path, name: str, prefix: str) -> None:
    network, state, tensors = reference(shared, name)
    network.load_reference_state_dict({prefix + key: value for key, value in state.items()})
    with torch.no_grad():
        output = network(tensors["input.x"])
    expected = tensors["output"]
    assert (output - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize(("name", "counts"), PARAMETERS.items())
def test_parameter_counts_of_the_published_networks(name: str, counts: tuple[int, ...]) -> None:
    with torch.device("meta"):
        built = [build_sr(name, scale_factor) for scale_factor in (2, 4, 8)]
    assert tuple(sum(p.numel() for p in net.parameters()) for net in built) == counts


@pytest.mark.parametrize(("size", "counts"), LUMINANCE_PARAMETERS.items())
def test_parameter_counts_of_the_luminance_form(
    size: tuple[int, int, int], counts: tuple[int, ...]
) -> None:
    n0, nr, num_stages = size
    with torch.device("meta"):
        built = [DBPN(s, 1, n0, nr, num_stages, reconstruction_kernel_size=1) for s in (2, 4, 8)]
    assert tuple(sum(p.numel() for p in net.parameters()) for net in built) == counts


@pytest.mark.parametrize(("n0", "nr", "count"), [(64, 18, 188_644), (128, 32, 595_596)])
def test_parameter_counts_of_the_small_luminance_forms_at_x4(n0: int, nr: int, count: int) -> None:
    network = DBPN(4, 1, n0, nr, num_stages=2, reconstruction_kernel_size=1)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("name", [n for n in SR_NAMES if n != "d-dbpn"])
@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_every_network_scales_odd_sizes(name: str, scale_factor: int) -> None:
    with torch.no_grad():
        sr = build_sr(name, scale_factor)(torch.rand(2, 3, 5, 7))
    assert sr.shape == (2, 3, 5 * scale_factor, 7 * scale_factor)


def test_foreign_weights_are_refused_with_the_first_keys() -> None:
    state = dict(DBPN().state_dict())
    del state["feat0.conv.weight"]
    state["head.weight"] = torch.zeros(1)
    state["feat1.conv.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"missing: feat0\.conv\.weight") as error:
        DBPN().load_reference_state_dict(state)
    assert "unexpected: head.weight" in str(error.value)
    assert "feat1.conv.bias (expected (18,), got (3,))" in str(error.value)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 1, 8, 8), torch.float32),
        ((0, 3, 8, 8), torch.float32),
        ((3, 8, 8), torch.float32),
        ((1, 3, 8, 8), torch.uint8),
    ],
)
@pytest.mark.parametrize("name", ["bicubic", "dbpn-ss"])
def test_wrong_images_are_refused(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\), got"):
        build_sr(name, 4)(torch.zeros(shape, dtype=dtype))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="scale_factor must be one of 2, 4, 8, got 3"):
        build_sr("dbpn-ss", 3)
    with pytest.raises(ValueError, match="name must be one of bicubic"):
        build_sr("srcnn", 4)
    with pytest.raises(ValueError, match="num_stages must be at least 1, got 0"):
        DBPN(num_stages=0)


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_bicubic_equals_opencv(scale_factor: int) -> None:
    image = np.random.default_rng(0).random((9, 13, 3), np.float32)
    size = (13 * scale_factor, 9 * scale_factor)
    expected = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    lr = torch.from_numpy(image).permute(2, 0, 1)[None]
    sr = build_sr("bicubic", scale_factor)(lr)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(sr, expected, atol=1e-5)


def test_detector_is_compact_and_has_a_stride_4_level() -> None:
    detector = Detector()
    assert sum(p.numel() for p in detector.parameters()) <= 1_500_000
    levels = detector.eval().levels(torch.rand(1, 3, 64, 96))
    assert [level.stride for level in levels] == [4, 8, 16]
    assert [tuple(level.logits.shape) for level in levels] == [
        (1, 1, 16, 24),
        (1, 1, 8, 12),
        (1, 1, 4, 6),
    ]


def test_detector_output_shapes_and_ranges() -> None:
    boxes, scores, class_ids = Detector(num_classes=2).eval()(torch.rand(2, 3, 64, 96))
    assert boxes.shape == (2, 384 + 96 + 24, 4)
    assert scores.shape == (2, 384 + 96 + 24)
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (class_ids.shape, class_ids.dtype) == (scores.shape, torch.int32)


def test_decode_literal() -> None:
    logits = torch.tensor([[[[0.0, 100.0], [-100.0, 0.0]]]])
    distances = torch.tensor([1.0, 2.0, 3.0, 5.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    boxes, scores, class_ids = decode([LevelOutput(4, logits, distances)])
    assert class_ids.tolist() == [[0, 0, 0, 0]]
    assert scores.tolist() == [[0.5, 1.0, 0.0, 0.5]]
    assert boxes.tolist() == [
        [[1, 0, 5, 7], [5, 0, 9, 7], [1, 4, 5, 11], [5, 4, 9, 11]],
    ]


def test_a_cell_has_the_class_of_its_greatest_score() -> None:
    logits = torch.tensor([[[[0.0, -2.0]], [[-1.0, 3.0]], [[-5.0, 2.0]]]])
    distances = torch.ones(1, 4, 1, 2)
    _, scores, class_ids = decode([LevelOutput(8, logits, distances)])
    assert class_ids.tolist() == [[0, 1]]
    torch.testing.assert_close(scores, torch.tensor([[0.5, 0.9526]]), atol=1e-4, rtol=0)


def test_detector_refuses_sizes_that_its_levels_cannot_share() -> None:
    with pytest.raises(ValueError, match=r"multiples of 32, got \(64, 90\)"):
        Detector()(torch.rand(1, 3, 64, 90))


def test_tdsr_returns_the_image_the_detector_saw_on_request() -> None:
    tdsr = TDSR(build_sr("dbpn-ss", 4), Detector()).eval()
    lr = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        boxes, scores, _, sr = tdsr(lr, return_sr=True)
        expected_boxes, expected_scores, _ = tdsr.detector(sr)
    torch.testing.assert_close(sr, tdsr.sr(lr))
    torch.testing.assert_close(boxes, expected_boxes)
    torch.testing.assert_close(scores, expected_scores)
    assert len(tdsr(lr)) == 3


def test_gradients_of_the_detection_reach_the_super_resolution() -> None:
    tdsr = TDSR(build_sr("dbpn-ss", 2), Detector(0.5))
    boxes, scores, _ = tdsr(torch.rand(1, 3, 32, 32))
    (boxes.mean() + scores.mean()).backward()
    gradients = [p.grad for p in tdsr.sr.parameters()]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)


def test_region_detector_takes_bytes() -> None:
    tdsr = TDSR(build_sr("bicubic", 4), Detector(0.5)).eval()
    regions = torch.randint(0, 256, (2, 8, 16, 3), dtype=torch.uint8)
    lr = regions.permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        boxes, scores, _ = RegionDetector(tdsr)(regions)
        expected_boxes, expected_scores, _ = tdsr(lr)
    torch.testing.assert_close(boxes, expected_boxes)
    torch.testing.assert_close(scores, expected_scores)
