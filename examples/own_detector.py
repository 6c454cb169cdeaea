"""Your detector behind this package's regions and merging, enlarged twice.

python examples/own_detector.py yolox_nano.onnx road.jpg
"""

import sys
from pathlib import Path

import cv2

from tasksr_ros import Frame, load_model
from tasksr_ros.bundle.import_detector import Import, import_detector
from tasksr_ros.config import PipelineConfig, RegionConfig

file, image = Path(sys.argv[1]), sys.argv[2]
bundle = Path("out") / f"{file.stem}-x2"
print(
    import_detector(
        Import(
            file=file,
            decoder="yolox",
            classes="coco",
            keep=["person", "bicycle"],
            sr="bicubic",
            scale_factor=2,
            out=bundle,
        )
    )
)
model = load_model(bundle, "openvino")
pipeline = model.pipeline(PipelineConfig(RegionConfig(mode="full")))
detections = pipeline(Frame(cv2.imread(image), encoding="bgr8"))
for box, score, class_id in zip(
    detections.xyxy, detections.score, detections.class_id, strict=True
):
    name = model.bundle.classes[class_id]
    print(name, *(round(float(side)) for side in box), f"{score:.2f}")
