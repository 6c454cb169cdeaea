"""Decoders of others' outputs, of literal values; test_import_detector.py has real files."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tasksr_ros.networks.detectors.decoders import DECODERS, build_decoder, fitting
from tasksr_ros.networks.detectors.decoders.common import Signature, strides_of

SIZE = (64, 32)
"""Of the input: 8x4 + 4x2 + 2x1 cells of strides 8, 16 and 32, and 1x1 more of stride 64."""
CELLS, CELLS_64 = 42, 43


def decoded(
    name: str, outputs: dict[str, Tensor], labels: list[int], **options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    signature = Signature({key: tuple(value.shape) for key, value in outputs.items()}, SIZE)
    decoder = build_decoder(name, signature, labels, options)
    found: tuple[Tensor, Tensor, Tensor] = decoder(*(outputs[key] for key in decoder.outputs))
    return found


def bins(sides: tuple[int, ...], num_bins: int = 8) -> Tensor:
    """Logits that are sure of these distances in strides."""
    logits = torch.full((4, num_bins), -100.0)
    logits[range(4), list(sides)] = 100.0
    return logits.flatten()


def test_yolox_reads_centres_in_strides_and_logs_of_sizes() -> None:
    output = torch.zeros(1, CELLS, 5 + 3)
    # The cell of stride 16 in row 1, column 2: 32 cells of stride 8 lie before that level.
    output[0, 32 + 4 + 2] = torch.tensor([0.5, 0.25, 0.0, 0.6931472, 0.8, 0.1, 0.5, 0.9])
    boxes, scores, class_ids = decoded("yolox", {"output": output}, [2, 1])
    assert boxes[0, 38].tolist() == pytest.approx([32, 4, 48, 36])
    assert scores[0, 38].item() == pytest.approx(0.72)
    assert class_ids[0, 38].item() == 0  # label 2 is the first that is kept
    assert scores[0, 0].item() == 0


def test_yolox_with_boxes_in_px() -> None:
    output = torch.zeros(1, CELLS, 6)
    output[0, 5] = torch.tensor([20.0, 10.0, 8.0, 12.0, 1.0, 0.5])
    boxes, scores, _ = decoded("yolox", {"output": output}, [0], decoded=True)
    assert boxes[0, 5].tolist() == [16, 4, 24, 16]
    assert scores[0, 5].item() == 0.5


@pytest.mark.parametrize(("cells", "offset"), [(CELLS, 0.5), (CELLS_64, 0.0)])
def test_nanodet_and_nanodet_plus_differ_by_half_a_cell(cells: int, offset: float) -> None:
    output = torch.zeros(1, cells, 2 + 32)
    output[0, 8 + 3, :2] = torch.tensor([0.25, 0.75])  # row 1, column 3 of stride 8
    output[0, 8 + 3, 2:] = bins((1, 2, 3, 4))
    boxes, scores, class_ids = decoded("nanodet", {"out": output}, [0, 1])
    x, y = (3 + offset) * 8, (1 + offset) * 8
    assert boxes[0, 11].tolist() == pytest.approx([x - 8, y - 16, x + 24, y + 32])
    assert (scores[0, 11].item(), class_ids[0, 11].item()) == (0.75, 1)


def test_picodet_takes_its_levels_in_any_order() -> None:
    outputs = {}
    for name, cells in (("s16", 8), ("s8", 32), ("s32", 2)):
        outputs[name] = torch.zeros(1, cells, 3)
    for name, cells in (("d16", 8), ("d8", 32), ("d32", 2)):
        outputs[name] = torch.zeros(1, cells, 32)
    outputs["s16"][0, 5, 1] = 0.5  # row 1, column 1
    outputs["d16"][0, 5] = bins((0, 1, 2, 3))
    boxes, scores, class_ids = decoded("picodet", outputs, [1])
    assert boxes[0, 32 + 5].tolist() == pytest.approx([24, 8, 56, 72])
    assert (scores[0, 37].item(), class_ids[0, 37].item()) == (0.5, 0)


def test_yolov8_has_its_cells_last() -> None:
    output = torch.zeros(1, 4 + 2, CELLS)
    output[0, :, 7] = torch.tensor([20.0, 10.0, 8.0, 12.0, 0.1, 0.6])
    boxes, scores, class_ids = decoded("yolov8", {"output0": output}, [0, 1])
    assert boxes[0, 7].tolist() == [16, 4, 24, 16]
    assert scores[0, 7].item() == pytest.approx(0.6)
    assert class_ids[0, 7].item() == 1


@pytest.mark.parametrize(("unit", "factor"), [("px", 1), ("strides", 16)])
def test_rtmdet_has_maps_of_logits_and_distances(unit: str, factor: int) -> None:
    grids = ((4, 8), (2, 4), (1, 2))
    outputs = {f"cls{k}": torch.full((1, 2, *grid), -9.0) for k, grid in enumerate(grids)}
    outputs |= {f"box{k}": torch.zeros(1, 4, *grid) for k, grid in enumerate(grids)}
    outputs["cls1"][0, 0, 1, 2] = 0.0
    outputs["box1"][0, :, 1, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    boxes, scores, class_ids = decoded("rtmdet", outputs, [0], distances=unit)
    x, y, f = 32, 16, factor
    assert boxes[0, 32 + 6].tolist() == [x - f, y - 2 * f, x + 3 * f, y + 4 * f]
    assert (scores[0, 38].item(), class_ids[0, 38].item()) == (0.5, 0)


def test_detr_keeps_labels() -> None:
    outputs = {
        "labels": torch.tensor([[3, 0, 1]]),
        "boxes": torch.arange(12.0).view(1, 3, 4),
        "scores": torch.tensor([[0.9, 0.8, 0.7]]),
    }
    boxes, scores, class_ids = decoded("detr", outputs, [0, 1])
    assert scores[0].tolist() == pytest.approx([0.0, 0.8, 0.7])
    assert class_ids[0].tolist() == [0, 0, 1]
    assert boxes[0, 1].tolist() == [4, 5, 6, 7]


def test_ssd_in_openvinos_form() -> None:
    rows = torch.tensor([[0, 1, 0.9, 0.25, 0.5, 0.5, 1.0], [0, 2, 0.8, 0, 0, 1, 1]])
    boxes, scores, _ = decoded("ssd", {"detection_out": rows.view(1, 1, 2, 7)}, [1])
    assert boxes[0, 0].tolist() == [16, 16, 32, 32]
    assert scores[0].tolist() == pytest.approx([0.9, 0.0])


def test_ssd_in_tensorflows_form() -> None:
    outputs = {
        "detection_boxes": torch.tensor([[[0.5, 0.25, 1.0, 0.5]]]),
        "detection_classes": torch.tensor([[1.0]]),
        "detection_scores": torch.tensor([[0.9]]),
        "num_detections": torch.tensor([1.0]),
    }
    boxes, scores, class_ids = decoded("ssd", outputs, [1])
    assert boxes[0, 0].tolist() == [16, 16, 32, 32]
    assert (scores[0, 0].item(), class_ids[0, 0].item()) == (pytest.approx(0.9), 0)


@pytest.mark.parametrize("batch", [False, True])
def test_boxes_with_their_score_and_labels(batch: bool) -> None:
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.9], [5.0, 6.0, 7.0, 8.0, 0.8]])
    labels = torch.tensor([1, 0])
    outputs = {
        "boxes": boxes[None] if batch else boxes,
        "labels": labels[None] if batch else labels,
    }
    found, scores, class_ids = decoded("boxes", outputs, [0])
    assert found.tolist() == [[[1, 2, 3, 4], [5, 6, 7, 8]]]
    assert scores[0].tolist() == pytest.approx([0.0, 0.8])
    assert class_ids.tolist() == [[0, 0]]


def test_boxes_with_scores_beside_and_in_shares() -> None:
    outputs = {"boxes": torch.tensor([[0.25, 0.5, 0.5, 1.0]]), "scores": torch.tensor([0.7])}
    found, scores, _ = decoded("boxes", outputs, [0], normalised=True)
    assert found.tolist() == [[[16, 16, 32, 32]]]
    assert scores[0].tolist() == pytest.approx([0.7])


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        ({"o": (1, CELLS, 85)}, ["yolox", "nanodet"]),
        ({"o": (1, 84, CELLS)}, ["yolov8"]),
        ({"a": (1, 1, 200, 7)}, ["ssd"]),
        ({"labels": (1, 300), "boxes": (1, 300, 4), "scores": (1, 300)}, ["detr", "boxes"]),
        ({"boxes": (-1, 5), "labels": (-1,)}, ["boxes"]),
        ({"o": (1, 1000)}, []),
        ({}, []),
    ],
)
def test_shapes_tell_which_decoders_fit(
    outputs: dict[str, tuple[int, ...]], names: list[str]
) -> None:
    assert fitting(Signature(outputs, SIZE)) == names


@pytest.mark.parametrize("name", list(DECODERS))
def test_what_is_anothers_is_refused_in_one_line(name: str) -> None:
    signature = Signature({"probabilities": (1, 1000)}, SIZE)
    with pytest.raises(ValueError, match=r"expected .*got probabilities \(1, 1000\)") as caught:
        build_decoder(name, signature, [0], {})
    assert "\n" not in str(caught.value)


def test_labels_beyond_the_detectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected labels below 80, .* got 80"):
        build_decoder("yolox", Signature({"o": (1, CELLS, 85)}, SIZE), [80], {})


@pytest.mark.parametrize(
    ("size", "cells", "strides"),
    [
        ((416, 416), 3549, (8, 16, 32)),
        ((416, 416), 3598, (8, 16, 32, 64)),
        ((640, 192), 2520, (8, 16, 32)),
        ((416, 416), 3550, None),
    ],
)
def test_strides_follow_from_the_number_of_cells(
    size: tuple[int, int], cells: int, strides: tuple[int, ...] | None
) -> None:
    assert strides_of(cells, size) == strides
