"""An engine of your own: anything that finds boxes in regions. Here it is OpenCV's HOG detector.

python examples/own_engine.py road.jpg
"""

import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros import Frame, Pipeline
from tasksr_ros.config import PipelineConfig, RegionConfig
from tasksr_ros.engines.found import Found, joined


class HogEngine:
    """See `tasksr_ros.engines.Engine`."""

    name = "hog"
    region_size = (640, 384)  # width, height
    scale_factor = 1  # boxes are in px of the region
    runs_batches = False

    def __init__(self) -> None:
        """Take the people that OpenCV brings."""
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        """(N, 384, 640, 3) uint8 RGB -> boxes, scores and class ids."""
        return joined([self._find(region) for region in regions])

    def _find(self, region: NDArray[np.uint8]) -> Found:
        rectangles, weights = self._hog.detectMultiScale(region)
        xywh = np.array(rectangles, np.float32).reshape(1, -1, 4)
        boxes = np.concatenate((xywh[..., :2], xywh[..., :2] + xywh[..., 2:]), 2)
        scores = 1 / (1 + np.exp(-np.array(weights, np.float32).reshape(1, -1)))
        return Found.of_one_class(boxes, scores)


pipeline = Pipeline(HogEngine(), PipelineConfig(RegionConfig(mode="full")), score_threshold=0.6)
detections = pipeline(Frame(cv2.imread(sys.argv[1]), encoding="bgr8"))
for box, score in zip(detections.xyxy, detections.score, strict=True):
    print(*(round(float(side)) for side in box), f"{score:.2f}")
