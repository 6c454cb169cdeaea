"""Pedestrians in one picture: python examples/detect_image.py road.jpg [bundle]."""

import sys

import cv2

from tasksr_ros import Frame, load_model
from tasksr_ros.config import PipelineConfig, RegionConfig

model = load_model(sys.argv[2] if len(sys.argv) > 2 else "tdsr-ss-x4")
pipeline = model.pipeline(PipelineConfig(RegionConfig(mode="full")))
detections = pipeline(Frame(cv2.imread(sys.argv[1]), encoding="bgr8"))
for box, score in zip(detections.xyxy, detections.score, strict=True):
    print(*(round(float(side)) for side in box), f"{score:.2f}")
