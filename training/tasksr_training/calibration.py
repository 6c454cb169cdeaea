"""Scores that are probabilities: a logistic map of a detector's scores, put into its weights.

Platt, "Probabilistic outputs for support vector machines", 1999: with his targets, which keep a
separable set from a slope without bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasksr_ros.evaluation.matching import Bools, Floats

STEPS = 50
LEAST = 1e-6
"""Scores are kept this far from 0 and 1."""


@dataclass(frozen=True)
class Calibration:
    """``sigmoid(slope · logit(score) + offset)``; a positive slope keeps the order of scores."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, score: Floats | float) -> Floats:
        """Calibrated scores in [0, 1]."""
        return _sigmoid(self.slope * _logit(np.asarray(score, np.float64)) + self.offset)

    def into_weights(self, detector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a PicoDet of one class whose scores are the calibrated ones."""
        changed = {}
        for name, value in detector.items():
            changed[name] = value
            if name.startswith("head.") and name.endswith((".2.weight", ".2.bias")):
                score = value[:1] * self.slope + (self.offset if name.endswith("bias") else 0.0)
                changed[name] = torch.cat([score, value[1:]])
        return changed


def fit(score: Floats, hit: Bools) -> Calibration:
    """The most likely map, by Newton's method.

    Args:
        score: (D,) of detections, in [0, 1].
        hit: (D,) whether each is a person.

    Returns:
        The map; the identity when all or none are hits, or when higher scores are not better.
    """
    hits, misses = int(hit.sum()), int((~hit).sum())
    if not hits or not misses:
        return Calibration()
    wanted = np.where(hit, (hits + 1) / (hits + 2), 1 / (misses + 2))
    x = np.stack([_logit(score), np.ones(len(score))], 1)
    weights = np.array([1.0, 0.0])
    for _ in range(STEPS):
        probability = _sigmoid(x @ weights)
        gradient = x.T @ (probability - wanted)
        curvature = (x * (probability * (1 - probability))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] <= 0:
        return Calibration()
    return Calibration(round(float(weights[0]), 6), round(float(weights[1]), 6))


def _logit(score: Floats) -> Floats:
    inside = np.clip(score, LEAST, 1 - LEAST)
    return np.asarray(np.log(inside / (1 - inside)), np.float64)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)), np.float64)
