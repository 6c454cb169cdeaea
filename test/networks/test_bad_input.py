"""What the networks do with input that they cannot take: one clear error each.

Of every kind: still (DBPN, also its LR-space form, and bicubic), video and blind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from tasksr_ros.bundle import load_bundle
from tasksr_ros.errors import BundleError
from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.super_resolution.bicubic import Bicubic
from tasksr_ros.networks.super_resolution.blocks import check_finite
from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_ros.networks.super_resolution.lr_space import to_lr_space
from tasksr_ros.networks.super_resolution.rbpn import RBPN

HW = (6, 8)
SMALL_VIDEO = {"base_filter": 4, "feat": 3, "num_stages": 2, "n_resblock": 1, "num_frames": 7}
SMALL_BLIND = {"ks": 3, "kout": 5, "num_stage": 2, "md_ch": 4, "reduction_ch": 4}

KINDS: dict[str, Callable[[], nn.Module]] = {
    "bicubic": lambda: Bicubic(2),
    "still": lambda: DBPN(2, n0=4, nr=3),
    "still in LR space": lambda: to_lr_space(DBPN(2, n0=4, nr=3), HW),
    "video": lambda: RBPN(2, **SMALL_VIDEO),
    "video in LR space": lambda: to_lr_space(RBPN(2, **SMALL_VIDEO), HW),
    "blind": lambda: KBPN(2, **SMALL_BLIND),
    "blind in LR space": lambda: to_lr_space(KBPN(2, **SMALL_BLIND), HW),
}


def inputs(kind: str, n: int = 1, channels: int = 3, dtype: torch.dtype = torch.float32) -> Any:
    """What a network of this kind takes."""
    shapes = [(n, channels, *HW)]
    if kind.startswith("video"):
        shapes += [(n, 6, channels, *HW), (n, 6, 2, *HW)]
    return [torch.zeros(shape, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("kind", KINDS)
def test_one_error_for_each_wrong_input(kind: str) -> None:
    network = KINDS[kind]().eval()

    def refuses(given: list[Tensor], message: str) -> None:
        with pytest.raises(ValueError, match=message) as error, torch.no_grad():
            network(*given)
        assert "\n" not in str(error.value)

    for channels in (1, 4):
        got = rf"shape \(N, 3, H, W\), got torch.float32 of shape \(1, {channels}, 6, 8\)"
        refuses(inputs(kind, channels=channels), got)
    refuses(inputs(kind, n=0), r"expected a non-empty float batch .*got .*\(0, 3, 6, 8\)")
    refuses(inputs(kind, dtype=torch.uint8), r"expected a non-empty float batch .*got torch.uint8")
    refuses([x[0] for x in inputs(kind)], r"shape \(N, 3, H, W\), got|regions of \(6, 8\)")
    if kind != "bicubic":  # it has no weights
        refuses(inputs(kind, dtype=torch.float64), r"torch.float32 as .*, got torch.float64")
    for value in (float("nan"), float("inf"), -float("inf")):
        for index, name in enumerate(["images", "neighbours", "flows"][: len(inputs(kind))]):
            given = inputs(kind)
            given[index].view(-1)[5] = value
            refuses(given, rf"expected finite {name}, got NaN or infinity in 1 of \d+")
    with torch.no_grad():
        network(*inputs(kind))  # and right input is taken


@pytest.mark.parametrize("kind", ["video", "video in LR space"])
def test_two_frames_where_seven_are_wanted(kind: str) -> None:
    target, neighbours, flows = inputs(kind)
    with pytest.raises(ValueError, match=r"for 7 frames .*got .*\(1, 1, 3, 6, 8\)"):
        KINDS[kind]()(target, neighbours[:, :1], flows[:, :1])


def test_a_wrong_number_of_neighbours_is_named_before_their_motion() -> None:
    target, neighbours, flows = inputs("video")
    with pytest.raises(ValueError, match="expected flows of shape"):
        KINDS["video"]()(target, neighbours, flows[:, :1])


@pytest.mark.parametrize(
    "name", ["dbpn-ss", "d-dbpn", "rbpn", "rbpn-small-4", "kbpn", "kbpn-small"]
)
@pytest.mark.parametrize("scale_factor", [3, 0, 16, -2])
def test_other_scale_factors(name: str, scale_factor: int) -> None:
    with pytest.raises(
        ValueError, match=f"scale_factor must be one of 2, 4, 8, got {scale_factor}"
    ):
        build_sr(name, scale_factor)


@pytest.mark.parametrize("scale_factor", [0, 16, -2])
def test_scale_factors_that_bicubic_has_not(scale_factor: int) -> None:
    with pytest.raises(ValueError, match=f"scale_factor must be from 1 to 8, got {scale_factor}"):
        build_sr("bicubic", scale_factor)


def test_a_true_kernel_must_be_finite() -> None:
    kernel = torch.full((1, 5, 5), float("nan"))
    with pytest.raises(ValueError, match="expected finite kernel, got NaN or infinity in 25 of 25"):
        KINDS["blind"]()(*inputs("blind"), kernel)


def test_huge_finite_values_are_no_error() -> None:
    check_finite("images", torch.full((4,), 3e38))  # their sum overflows
    with pytest.raises(ValueError, match="in 1 of 5"):
        check_finite("images", torch.tensor([3e38, 3e38, 3e38, 3e38, float("nan")]))
    check_finite("images", torch.full((70_000,), 1.0, dtype=torch.float16))


@pytest.mark.parametrize("kind", ["still", "video", "blind"])
def test_exported_graphs_do_not_check(kind: str) -> None:
    """Nothing that looks for NaN is in what engines compile."""
    exported = torch.export.export(KINDS[kind]().eval(), tuple(inputs(kind)))
    called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert called
    assert not called & {"aten.isfinite.default", "aten.item.default", "aten.sum.default"}


def test_training_in_mixed_precision_is_no_error() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        sr = KINDS["still"]()(torch.rand(1, 3, *HW))
        assert sr.dtype == torch.bfloat16
        Detector(0.25).eval()(torch.rand(1, 3, 32, 32).bfloat16())


SR = {"network": "dbpn-ss", "scale_factor": 2, "weights": "sr.safetensors"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region_size": [60, 32]}, r"must be multiples of 32 SR px, got 120x64"),
        ({"region_size": [64, -32]}, r"region_size must be \[width, height\] in px"),
        (
            {"sr": {**SR, "scale_factor": 3}, "region_size": [32, 32]},
            "scale_factor must be one of 2, 4, 8, got 3",
        ),
        ({"sr": {**SR, "network": "rbpn"}}, r"weights do not fit model\.yaml: .*RBPN"),
    ],
)
def test_bundles_that_cannot_be(
    tiny_bundle: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    for file in tiny_bundle.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    description = yaml.safe_load((tiny_bundle / "model.yaml").read_text())
    (folder / "model.yaml").write_text(yaml.safe_dump({**description, **changes}))
    with pytest.raises(BundleError, match=message) as error:
        load_bundle(folder).load()
    assert "\n" not in str(error.value)
