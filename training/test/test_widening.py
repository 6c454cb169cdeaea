"""A widened detector gives what the given one gives, and its new channels learn."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.errors import TrainingError
from tasksr_training.widening import widened
from torch import Tensor, nn

from tasksr_ros.networks.detectors.fcos import Detector


def trained(width: float) -> Detector:
    """A detector whose every number differs from what it starts with."""
    torch.manual_seed(1)
    detector = Detector(width).eval()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                assert isinstance(tensor, Tensor)
                tensor.normal_(std=0.1)
            for tensor in (module.running_var, module.weight.data):
                assert isinstance(tensor, Tensor)
                tensor.uniform_(0.5, 1.5)
    for head in [*detector.score, *detector.distance]:
        assert isinstance(head, nn.Conv2d)
        nn.init.normal_(head.weight, std=1.0)
    return detector


@pytest.mark.parametrize(("width", "wider"), [(1.0, 1.75), (0.5, 1.0), (1.0, 1.0)])
def test_it_starts_as_the_same_function(width: float, wider: float) -> None:
    detector = trained(width)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        boxes, scores, _ = detector(images)
        got_boxes, got_scores, _ = widened(detector, wider)(images)
    assert scores.std() > 1e-3  # else anything would agree
    torch.testing.assert_close(got_scores, scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got_boxes, boxes, rtol=1e-4, atol=1e-3)


def test_what_looks_at_the_new_channels_learns() -> None:
    wide = widened(trained(0.5), 1.0)
    boxes, scores, _ = wide(torch.rand(2, 3, 64, 64))
    (scores.sum() + boxes.mean()).backward()
    for name, parameter in wide.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        if name.endswith("0.weight") and ".body.1" in name:  # from new channels to old ones
            narrow = parameter.shape[0] // 2, parameter.shape[1] // 2
            assert parameter.grad[: narrow[0], narrow[1] :].abs().sum() > 0, name


def test_a_narrower_one_is_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"no fewer channels than the detector's 1\.0, got 0\.5"
    ):
        widened(Detector(1.0), 0.5)
