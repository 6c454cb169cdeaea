"""An engine of this package behind the interface of sahi's detection models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sahi.models.base import DetectionModel
from sahi.prediction import ObjectPrediction

from tasksr_ros.engines import Engine


class SahiModel(DetectionModel):
    """See sahi's `DetectionModel`. Slices must have the engine's region size.

    Args:
        engine: to run.
        score_threshold: least score of a detection.

    Attributes:
        calls: slices that were looked at.
    """

    def __init__(self, engine: Engine, score_threshold: float) -> None:
        self.calls = 0
        super().__init__(model=engine, confidence_threshold=score_threshold, device="cpu")

    def set_model(self, model: Any, **kwargs: Any) -> None:
        """Take an engine."""
        self.model = model
        self.category_mapping = {"0": "pedestrian"}

    def perform_inference(self, image: NDArray[np.uint8]) -> None:
        """Run the engine on a slice, (height, width, 3) uint8 RGB."""
        boxes, scores = self.model(image[None])
        likely = scores[0] >= self.confidence_threshold
        self.calls += 1
        self._original_predictions = boxes[0][likely] / self.model.scale_factor, scores[0][likely]

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = ((0, 0),), full_shape_list: Any = None
    ) -> None:
        """Boxes in slice px as sahi's predictions, one list of them."""
        boxes, scores = self._original_predictions
        width, height = self.model.region_size
        boxes = boxes.clip(0, (width, height, width, height))
        full_shape = None if full_shape_list is None else list(full_shape_list[0])
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box.tolist(),
                    category_id=0,
                    category_name="pedestrian",
                    score=float(score),
                    shift_amount=list(shift_amount_list[0]),
                    full_shape=full_shape,
                )
                for box, score in zip(boxes, scores, strict=True)
                if box[0] < box[2] and box[1] < box[3]
            ]
        ]
