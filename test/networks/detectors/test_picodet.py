from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tasksr_ros.networks import DETECTOR_NAMES, build_detector
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.detectors.picodet import PicoDet


@pytest.fixture(scope="module")
def detector() -> PicoDet:
    torch.manual_seed(0)
    return PicoDet(2).eval()


def test_it_is_as_large_as_the_published_one() -> None:
    """The ONNX file's 133 convolutions with bias, of 80 classes."""
    assert sum(p.numel() for p in PicoDet(80).parameters()) == 983_891
    assert sum(p.numel() for p in PicoDet().parameters()) == 983_891 - 4 * 79 * 97


@torch.no_grad()
def test_levels_of_an_image_that_64_does_not_divide(detector: PicoDet) -> None:
    levels = detector.levels(torch.rand(2, 3, 96, 160))
    assert [level.stride for level in levels] == [8, 16, 32, 64]
    cells = [(12, 20), (6, 10), (3, 5), (2, 3)]
    for level, (height, width) in zip(levels, cells, strict=True):
        assert level.logits.shape == (2, 2, height, width)
        assert level.distances.shape == (2, 4, height, width)
        assert level.distributions is not None
        assert level.distributions.shape == (2, 4, 8, height, width)


@torch.no_grad()
def test_a_distance_is_the_mean_of_its_distribution(detector: PicoDet) -> None:
    for level in detector.levels(torch.rand(1, 3, 64, 64)):
        assert level.distributions is not None
        p = level.distributions.double().exp()
        strides = (p * torch.arange(8).view(1, 1, 8, 1, 1)).sum(2) / p.sum(2)
        torch.testing.assert_close(level.distances, (strides * level.stride).float())


@torch.no_grad()
def test_boxes_scores_and_classes_of_all_cells(detector: PicoDet) -> None:
    boxes, scores, class_ids = detector(torch.rand(2, 3, 64, 96))
    cells = 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2
    assert boxes.shape == (2, cells, 4)
    assert scores.shape == class_ids.shape == (2, cells)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert class_ids.dtype == torch.int32
    assert set(class_ids.unique().tolist()) <= {0, 1}


@torch.no_grad()
def test_it_normalises_by_the_statistics_of_imagenet(detector: PicoDet) -> None:
    seen: list[Tensor] = []
    hook = detector.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    detector.features(torch.tensor([0.485, 0.456, 1.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    hook.remove()
    expected = torch.tensor([0.0, 0.0, (1 - 0.406) / 0.225])
    torch.testing.assert_close(seen[0][0, :, 7, 9], expected)


@torch.no_grad()
def test_exported_it_gives_the_same(detector: PicoDet) -> None:
    images = torch.rand(1, 3, 64, 96)
    program = torch.export.export(detector, (images,))
    for got, expected in zip(program.module()(images), detector(images), strict=True):
        torch.testing.assert_close(got, expected)


def test_what_it_refuses(detector: PicoDet) -> None:
    with pytest.raises(ValueError, match=r"multiples of 32, got \(64, 90\)"):
        detector(torch.rand(1, 3, 64, 90))
    with pytest.raises(ValueError, match="num_classes: expected at least 1, got 0"):
        PicoDet(0)


def test_detectors_are_built_by_name() -> None:
    assert DETECTOR_NAMES == ("fcos", "picodet-s")
    assert isinstance(build_detector("fcos", width=0.5), Detector)
    built = build_detector("picodet-s", num_classes=3)
    assert isinstance(built, PicoDet)
    assert built.num_classes == 3
    with pytest.raises(ValueError, match="must be one of fcos, picodet-s, got 'yolo'"):
        build_detector("yolo")
    with pytest.raises(ValueError, match="picodet-s has no options width"):
        build_detector("picodet-s", width=1.0)
