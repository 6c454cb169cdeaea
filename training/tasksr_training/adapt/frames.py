"""Frames of recordings to train and to measure on, chosen by the detector's own scores."""

from __future__ import annotations

import heapq
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.io.frames import crop_rgb
from tasksr_ros.io.recording import Encoded, Pending, Recording
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.stills import read_still
from tasksr_training.adapt.config import (
    HELD_OUT_FROM,
    LEAST_FRAMES,
    TRAIN_UP_TO,
    FrameConfig,
)
from tasksr_training.adapt.degradation import jpeg_quality_of
from tasksr_training.adapt.systems import Found
from tasksr_training.errors import TrainingDataError, TrainingError
from tasksr_training.whole_files import replace_text, replacing

logger = logging.getLogger(__name__)

LIST = "frames.json"
FOLDER = "frames"
Look = Callable[[NDArray[np.uint8]], Found]


@dataclass(frozen=True)
class Chosen:
    """A frame that was kept.

    Attributes:
        file: PNG, in the folder of frames.
        recording: which of the recordings, as it was given.
        camera: of the recording.
        index: its number among those of its camera.
        name: path below the recording, where each image is a file; else empty.
        stamp_ns: acquisition time in nanoseconds.
        size: (width, height) px.
        held_out: whether it is to measure on.
        boxes: the detector's, xyxy px.
        scores: of the boxes.
        jpeg_quality: that it was stored with; None: not as JPEG.
    """

    file: str
    recording: str
    camera: str
    index: int
    name: str
    stamp_ns: int
    size: tuple[int, int]
    held_out: bool
    boxes: list[list[float]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class Frames:
    """All frames that were kept.

    Attributes:
        folder: of their files.
        train: to train on.
        held_out: to measure on.
    """

    folder: Path
    train: list[Chosen]
    held_out: list[Chosen]

    def image(self, frame: Chosen) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; not to be written to.

        Raises:
            TrainingDataError: if its file is missing or damaged.
        """
        return _read(self.folder / frame.file)


@lru_cache(maxsize=32)
def _read(path: Path) -> NDArray[np.uint8]:
    try:
        still = read_still(path)
    except ImageError:
        raise TrainingDataError(
            f"{path}: expected a frame, it is missing or damaged; delete {path.parent / LIST}, the "
            "frames are then chosen again"
        ) from None
    return crop_rgb(still, 0, 0, *still.size)


def choose_frames(
    recordings: Sequence[str],
    topic: str,
    look: Look,
    config: FrameConfig,
    out: Path,
    key: dict[str, Any],
) -> Frames:
    """Choose frames, or take those that were chosen before.

    Args:
        recordings: bags, videos, folders of images.
        topic: of a bag's images; empty: the bag has one.
        look: the detector on whole images.
        config: how many, and which.
        out: folder of the run; frames go to ``FOLDER`` in it.
        key: what the choice depends on, besides ``config`` and the recordings.

    Raises:
        RecordingError: for a recording that cannot be read.
        TrainingDataError: for recordings with too few frames or without anybody.
        TrainingError: if the run has frames that were chosen otherwise.
    """
    folder = out / FOLDER
    # As JSON reads it back.
    asked = json.loads(
        json.dumps(
            {**key, "recordings": list(recordings), "topic": topic, "frames": asdict(config)}
        )
    )
    known = _known(folder, asked)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    groups = {
        held_out: _Group(folder, config, most)
        for held_out, most in ((False, config.most), (True, config.held_out))
    }
    best: list[float] = []
    for number, path in enumerate(recordings):
        for chosen, image in _looked_at(path, topic, look, config, number):
            best.append(max(chosen.scores, default=0.0))
            groups[chosen.held_out].offer(chosen, image)
    frames = Frames(folder, groups[False].chosen(), groups[True].chosen())
    _check_people(frames, config, best)
    kept = [asdict(f) for f in (*frames.train, *frames.held_out)]
    replace_text(folder / LIST, json.dumps({"asked": asked, "frames": kept}, indent=1))
    return frames


def people(frame: Chosen, least_score: float) -> NDArray[np.float32]:
    """(K, 4) boxes of a frame that the detector takes for people."""
    boxes = np.array(frame.boxes, np.float32).reshape(-1, 4)
    return boxes[np.array(frame.scores) >= least_score] if len(boxes) else boxes


class _Group:
    """The best frames so far, of those with people and of those without; files of no others."""

    def __init__(self, folder: Path, config: FrameConfig, most: int) -> None:
        self._folder, self._least = folder, config.least_score
        without = min(most - 1, round(most * config.background_fraction))
        self._most = {True: most, False: without}
        self._best: dict[bool, list[tuple[float, int, Chosen]]] = {True: [], False: []}
        self._count = 0

    def offer(self, frame: Chosen, image: NDArray[np.uint8]) -> None:
        likely = sum(s for s in frame.scores if s >= self._least)
        kind = likely > 0
        worth = likely if kind else max(frame.scores, default=0.0)
        best = self._best[kind]
        self._count += 1
        entry = (worth, -self._count, frame)
        if len(best) < self._most[kind]:
            heapq.heappush(best, entry)
        elif not best or entry[:2] <= best[0][:2]:
            return
        else:
            _, _, dropped = heapq.heapreplace(best, entry)
            (self._folder / dropped.file).unlink()
        _write(self._folder / frame.file, image)

    def chosen(self) -> list[Chosen]:
        """In the order in which they came; people have the room that backgrounds leave."""
        room = self._most[True] - len(self._best[False])
        while len(self._best[True]) > room:
            _, _, dropped = heapq.heappop(self._best[True])
            (self._folder / dropped.file).unlink()
        both = [*self._best[True], *self._best[False]]
        return [frame for _, _, frame in sorted(both, key=lambda entry: -entry[1])]


def _looked_at(
    path: str, topic: str, look: Look, config: FrameConfig, number: int
) -> Iterator[tuple[Chosen, NDArray[np.uint8]]]:
    """The candidates of a recording, as the detector sees them, with their images."""
    recording = open_recording(path, topic or None)
    stamps = [item.stamp_ns for item in _pending(recording)]
    held_out = _candidates(path, stamps, config.candidates)
    problems: list[str] = []
    bar = tqdm(total=len(held_out), desc=f"looking at {Path(path).name}", mininterval=2)
    for k, item in enumerate(_pending(recording)):
        if k not in held_out:
            continue
        bar.update()
        try:
            frame = item.load()
            image = np.array(crop_rgb(frame, 0, 0, *frame.size))
            quality = _quality(item)
        except ImageError as error:
            problems.append(f"{path}: frame {item.index} not read: {error}")
            continue
        boxes, scores = look(image)
        yield (
            Chosen(
                f"{number:02d}-{k:06d}.png",
                path,
                item.camera,
                item.index,
                item.name,
                item.stamp_ns,
                frame.size,
                held_out[k],
                np.round(boxes, 2).tolist(),
                np.round(scores, 4).tolist(),
                quality,
            ),
            image,
        )
    bar.close()
    for line in problems[:5]:
        logger.warning(line)
    if len(problems) == len(held_out):
        raise TrainingDataError(f"none of {len(problems)} frames can be read: {problems[0]}")


def _pending(recording: Recording) -> Iterator[Pending]:
    """What is readable of it."""
    try:
        yield from recording.pending()
    except RecordingError as error:
        logger.warning("%s", error)


def _quality(item: Pending) -> int | None:
    encoded = item.encoded()
    return jpeg_quality_of(encoded.data) if isinstance(encoded, Encoded) else None


def _candidates(path: str, stamps: Sequence[int], most: int) -> dict[int, bool]:
    """Positions of the frames to look at, spaced in time, and whether each is held out.

    Raises:
        TrainingDataError: for too few frames.
    """
    if len(stamps) < LEAST_FRAMES:
        raise TrainingDataError(
            f"{path}: expected a recording of at least {LEAST_FRAMES} frames, the last fifth of "
            f"which is held out, got {len(stamps)}"
        )
    time = np.array(stamps, float) - min(stamps)
    if not time.max() > 0:
        time = np.arange(len(stamps), dtype=float)
    share = time / time.max()
    found: dict[int, bool] = {}
    for held_out, inside in ((False, share < TRAIN_UP_TO), (True, share >= HELD_OUT_FROM)):
        places = np.flatnonzero(inside)
        wanted = max(1, round(most * (0.2 if held_out else 0.8)))
        if not len(places):
            raise TrainingDataError(
                f"{path}: expected frames in the {'last fifth' if held_out else 'first part'} of "
                f"its {(max(stamps) - min(stamps)) / 1e9:.1f} s, there are none"
            )
        targets = np.linspace(share[places].min(), share[places].max(), min(wanted, len(places)))
        order = places[np.argsort(share[places], kind="stable")]
        nearest = np.searchsorted(share[order], targets - 1e-12)
        found |= {int(order[min(k, len(order) - 1)]): held_out for k in nearest}
    return found


def _check_people(frames: Frames, config: FrameConfig, best: Sequence[float]) -> None:
    """Raise TrainingDataError unless both groups have people; ``best`` is each frame's score."""
    alike = ", the same in each of them" if max(best) == min(best) else ""
    for group, what in ((frames.train, "the first part"), (frames.held_out, "the last fifth")):
        if not any(len(people(f, config.least_score)) for f in group):
            raise TrainingDataError(
                f"expected people in the recordings, the detector sees nobody in {what} of them: "
                f"its best score in {len(best)} frames is {max(best):.2f}{alike}; a person is one "
                f"of at least {config.least_score:g} (frames.least_score)"
            )


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    _, code = cv2.imencode(
        ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    with replacing(path) as file:
        file.write(code.tobytes())


def _known(folder: Path, asked: dict[str, Any]) -> Frames | None:
    """The frames of a run that goes on."""
    path = folder / LIST
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        frames = [Chosen(**{**f, "size": tuple(f["size"])}) for f in content["frames"]]
        before = content["asked"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if before != asked:
        differ = ", ".join(sorted(k for k in {*before, *asked} if before.get(k) != asked.get(k)))
        raise TrainingError(
            f"{path}: its frames were chosen with other {differ}; choose another --out"
        )
    return Frames(folder, [f for f in frames if not f.held_out], [f for f in frames if f.held_out])
