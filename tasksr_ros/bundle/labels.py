"""Lists of class names that detectors are trained with."""

from __future__ import annotations

from pathlib import Path

from tasksr_ros.errors import ConfigError

_COCO = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire "
    "hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, "
    "bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, "
    "snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, "
    "sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted "
    "plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, "
    "microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, "
    "hair drier, toothbrush "
)
_NO_LABEL = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
"""Numbers that COCO's 80 classes leave out of 1 to 90."""

COCO = tuple(name.strip() for name in _COCO.split(","))
"""COCO's 80 classes, as most detectors number them: from 0, without gaps."""


def read_labels(source: str) -> dict[int, str]:
    """Class names by the detector's numbers.

    Args:
        source: coco (80 names from 0), coco91 (COCO's own numbers from 1 to 90, as TensorFlow's
            detectors have them), or a text file with a name a line, the first of number 0.

    Raises:
        ConfigError: if the file cannot be read or holds no names.
    """
    if source == "coco":
        return dict(enumerate(COCO))
    if source == "coco91":
        numbers = (number for number in range(1, 91) if number not in _NO_LABEL)
        return dict(zip(numbers, COCO, strict=True))
    try:
        lines = Path(source).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"classes must be coco, coco91 or a file with a name a line, got {source!r}: {error}"
        ) from None
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise ConfigError(
            f"{source}: expected a class name a line, got {len(names)} lines with gaps"
        )
    return dict(enumerate(names))
