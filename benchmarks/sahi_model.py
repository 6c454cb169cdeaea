"""Engines of this package behind the interface of sahi's detection models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sahi.models.base import DetectionModel
from sahi.prediction import ObjectPrediction
from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list

from tasksr_ros.engines import Engine


class SahiModel(DetectionModel):
    """See sahi's `DetectionModel`.

    Args:
        slices: engine for slices, which must not be larger than its regions.
        whole: engine for the whole image, likewise.
        score_threshold: least score of a detection.

    Attributes:
        calls: images and slices that were looked at.
    """

    def __init__(self, slices: Engine, whole: Engine, score_threshold: float) -> None:
        self.calls = 0
        super().__init__(model=(slices, whole), confidence_threshold=score_threshold, device="cpu")

    def set_model(self, model: Any, **kwargs: Any) -> None:
        """Take the engines."""
        self.model = model
        self.category_mapping = {"0": "pedestrian"}

    def perform_inference(self, image: NDArray[np.uint8]) -> None:
        """Run an engine on a slice, or the whole image: (height, width, 3) uint8 RGB."""
        slices, whole = self.model
        high, wide = image.shape[:2]
        width, height = slices.region_size
        engine = slices if (wide <= width and high <= height) else whole
        width, height = engine.region_size
        region = np.zeros((1, height, width, 3), np.uint8)
        region[0, :high, :wide] = image
        found = engine(region)
        likely = found.scores[0] >= self.confidence_threshold
        boxes = (found.boxes[0][likely] / engine.scale_factor).clip(0, (wide, high, wide, high))
        self.calls += 1
        self._original_predictions = boxes, found.scores[0][likely]

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = ((0, 0),), full_shape_list: Any = None
    ) -> None:
        """Boxes in slice px as sahi's predictions, one list of them."""
        boxes, scores = self._original_predictions
        (shift,) = fix_shift_amount_list(shift_amount_list)
        full_shape = None if full_shape_list is None else fix_full_shape_list(full_shape_list)[0]
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box.tolist(),
                    category_id=0,
                    category_name="pedestrian",
                    score=float(score),
                    shift_amount=shift,
                    full_shape=full_shape,
                )
                for box, score in zip(boxes, scores, strict=True)
                if box[0] < box[2] and box[1] < box[3]
            ]
        ]
