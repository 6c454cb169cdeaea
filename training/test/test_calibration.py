from __future__ import annotations

import numpy as np
import pytest
import torch
from tasksr_training.calibration import Calibration, fit

from tasksr_ros.evaluation.reliability import reliability
from tasksr_ros.networks.detectors.picodet import PicoDet


def test_scores_that_are_too_high_are_mended() -> None:
    """Of 400 detections at .8 a half, of 400 at .2 a tenth are people."""
    score = np.repeat([0.8, 0.2], 400)
    hit = np.concatenate([np.arange(400) % 2 == 0, np.arange(400) % 10 == 0])
    assert reliability(score, hit, None, None)["ece"] == pytest.approx((0.3 + 0.1) / 2)
    found = fit(score, hit)
    assert found(0.8) == pytest.approx(0.5, abs=0.005)
    assert found(0.2) == pytest.approx(0.1, abs=0.005)
    after = reliability(found(score), hit, None, None)["ece"]
    assert after is not None and after < 0.005


@pytest.mark.parametrize("hit", [np.ones(4, bool), np.zeros(4, bool), np.array([0, 0, 1, 1], bool)])
def test_what_cannot_be_fitted_stays(hit: np.ndarray) -> None:
    assert fit(np.array([0.9, 0.8, 0.2, 0.1]), hit) == Calibration()


def test_a_separable_set_has_a_bounded_slope() -> None:
    found = fit(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False]))
    assert 0 < found.slope < 5


def test_the_map_is_in_the_weights() -> None:
    torch.manual_seed(2)
    detector, calibrated = PicoDet(1).eval(), PicoDet(1).eval()
    calibration = Calibration(1.7, -0.4)
    calibrated.load_state_dict(calibration.into_weights(detector.state_dict()))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        boxes, scores, _ = detector(images)
        new_boxes, new_scores, _ = calibrated(images)
    assert torch.equal(boxes, new_boxes)
    expected = calibration(scores.double().numpy())
    np.testing.assert_allclose(new_scores.numpy(), expected, atol=1e-6)
