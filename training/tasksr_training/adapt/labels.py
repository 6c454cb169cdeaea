"""Labels of the chosen frames, where there is a ground truth of the recordings."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from tasksr_ros.errors import RecordingError
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.ids import checked_id
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.truth_file import TruthImages
from tasksr_ros.replay.truth_images import image_ids
from tasksr_training.adapt.crops import Labels
from tasksr_training.adapt.frames import Chosen, Frames
from tasksr_training.errors import TrainingDataError

logger = logging.getLogger(__name__)

TOLERANCE_MS = 1.0
"""Most that the stamps of a frame and of its image may differ."""


def read_labels(path: Path, frames: Frames, topic: str) -> Labels:
    """Boxes of the chosen frames, found as `tasksr replay --ground-truth` finds them.

    Args:
        path: COCO JSON file.
        frames: that were chosen.
        topic: of a bag's images; empty: the bag has one.

    Raises:
        EvaluationError: for a file that is no ground truth.
        TrainingDataError: if no frame that is held out has an image in it.
    """
    truth = read_ground_truth(path).without_neighbours()
    listed = TruthImages.read(path)
    place = {image_id: k for k, image_id in enumerate(truth.image_ids)}
    boxes = truth.xywh.astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    found = {}
    for chosen, image_id in _matched(listed, [*frames.train, *frames.held_out], topic):
        mine = truth.image == place[checked_id(image_id)]
        found[chosen.file] = (boxes[mine], truth.ignore[mine])
    lacking = [f for f in frames.held_out if f.file not in found]
    if len(lacking) == len(frames.held_out):
        raise TrainingDataError(
            f"{path}: expected labels of the frames that are held out, the last fifth of each "
            f"recording, got none of {len(frames.held_out)}"
        )
    if lacking:
        logger.warning(
            "%s: %d of %d held-out frames have no labels", path, len(lacking), len(frames.held_out)
        )
    return found


def _matched(listed: TruthImages, frames: list[Chosen], topic: str) -> list[tuple[Chosen, object]]:
    """The frames that have an image, with its id."""
    pairs: list[tuple[Chosen, object]] = []
    for recording in dict.fromkeys(frame.recording for frame in frames):
        mine = {(f.camera, f.index): f for f in frames if f.recording == recording}
        outcomes = []
        try:
            for item in open_recording(recording, topic or None).pending():
                chosen = mine.get((item.camera, item.index))
                size = (0, 0) if chosen is None else chosen.size
                outcomes.append(Outcome(item.camera, item.index, item.name, item.stamp_ns, size))
        except RecordingError as error:
            logger.warning("%s", error)
        ids = image_ids(outcomes, listed, Path(recording), TOLERANCE_MS)
        for note in ids.notes:
            logger.warning(note)
        pairs += [
            (mine[o.camera, o.index], image_id)
            for o, image_id, known in zip(outcomes, ids.ids, ids.known, strict=True)
            if known and (o.camera, o.index) in mine
        ]
    return pairs
