"""HR patches from the chosen frames: around people, around what looks like them, anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_training.adapt.config import CropConfig
from tasksr_training.adapt.degradation import Degradation
from tasksr_training.adapt.frames import Chosen, Frames
from tasksr_training.adapt.teacher import Sightings
from tasksr_training.datasets import PADDING, Batch, Patch, collate, flip, mirrored

Boxes = NDArray[np.float32]
Labels = Mapping[str, tuple[Boxes, NDArray[np.bool_]]]
"""Boxes (M, 4) xyxy px and whether each is ignored, by the frame's file."""

_MIN_VISIBLE = 0.4
"""A box with less of its area in the patch is ignored."""


AS_IT_IS = Degradation(0.0, 0.0, None)
"""Reduced, and nothing else."""


@dataclass(frozen=True)
class Crop(Patch):
    """A patch.

    Attributes:
        degradation: how an LR copy of its recording is made.
        people: (M, 5) xyxy patch px and score, whom the detector sees in it at its best.
    """

    degradation: Degradation = AS_IT_IS
    people: Boxes = field(default_factory=lambda: np.zeros((0, 5), np.float32))

    def flipped(self) -> Crop:
        """Mirrored left to right."""
        people = self.people.copy()
        people[:, :4] = mirrored(self.people[:, :4], self.image.shape[1])
        return replace(flip(self), people=people)


@dataclass(frozen=True, eq=False)
class CropBatch(Batch):
    """A batch.

    Attributes:
        degradations: how the LR copy of each of its patches is made.
        people: (N, M, 5) xyxy HR px and score, see `Crop`; rows of nobody are zero.
        detector: index of the detector that sees them.
    """

    degradations: tuple[Degradation, ...] = ()
    people: Tensor = field(default_factory=lambda: torch.zeros(0, 1, 5))
    detector: int = 0


class CropSampler:
    """Draws HR patches; see `tasksr_training.datasets.Sampler`.

    Args:
        frames: where they are.
        chosen: those to draw from.
        sightings: whom the detector sees in them at its best.
        size: (width, height) of a patch, HR px.
        config: how often around what.
        least_score: of a person.
        degradations: of the recordings, by their names.
        labels: of the frames, where there are any.
    """

    def __init__(
        self,
        frames: Frames,
        chosen: Sequence[Chosen],
        sightings: Sightings,
        size: tuple[int, int],
        config: CropConfig,
        least_score: float,
        degradations: Mapping[str, Degradation],
        labels: Labels | None = None,
    ) -> None:
        self._frames, self._chosen, self._size = frames, list(chosen), size
        self._config, self._labels = config, labels or {}
        self._degradations = degradations
        self._seen = {f.file: np.column_stack(sightings[f.file]) for f in chosen}
        everyone = [(f, row) for f in chosen for row in self._seen[f.file]]
        self._people = [(f, row[:4]) for f, row in everyone if row[4] >= least_score]
        self._weak = [(f, row[:4]) for f, row in everyone if row[4] < least_score]
        heights = np.array([box[3] - box[1] for _, box in self._people]).clip(1)
        far = np.minimum(config.far_height / heights, heights / config.least_height)
        weights = far.clip(max=1)
        self._shares = weights / weights.sum() if len(weights) else weights

    def draw(self, rng: np.random.Generator) -> Crop:
        """Draw one patch; the same generator state gives the same patch."""
        kind, config = rng.random(), self._config
        if kind < config.people_fraction and self._people:
            frame, box = self._people[int(rng.choice(len(self._people), p=self._shares))]
            patch = self._around(frame, box, rng)
        elif kind < config.people_fraction + config.background_fraction and self._weak:
            frame, box = self._weak[int(rng.integers(len(self._weak)))]
            patch = self._around(frame, box, rng)
        else:
            frame = self._chosen[int(rng.integers(len(self._chosen)))]
            room = np.maximum(np.array(frame.size) - self._size, 0)
            patch = self._cut(frame, room * rng.random(2))
        return patch.flipped() if rng.random() < 0.5 else patch

    def collate(self, samples: Sequence[Crop], rng: np.random.Generator) -> CropBatch:
        """Stack patches."""
        batch = collate(samples, rng)
        people = np.zeros((len(samples), max(1, *(len(s.people) for s in samples)), 5), np.float32)
        for rows, sample in zip(people, samples, strict=True):
            rows[: len(sample.people)] = sample.people
        degradations = tuple(s.degradation for s in samples)
        return CropBatch(**vars(batch), degradations=degradations, people=torch.from_numpy(people))

    def _around(self, frame: Chosen, box: Boxes, rng: np.random.Generator) -> Crop:
        centre = (box[:2] + box[2:]) / 2
        return self._cut(frame, centre - np.array(self._size) * rng.uniform(0.25, 0.75, 2))

    def _cut(self, frame: Chosen, corner: NDArray[np.floating]) -> Crop:
        x, y, image = cut_inside(self._frames.image(frame), corner, self._size)
        boxes, ignore = self._labels.get(frame.file, self._unlabelled(frame))
        clipped, inside, hidden = self._in_patch(boxes, x, y)
        seen = self._seen[frame.file].copy()
        seen[:, :4], there, cut = self._in_patch(seen[:, :4], x, y)
        degradation = self._degradations[frame.recording]
        return Crop(
            image,
            clipped[inside],
            (ignore | hidden)[inside],
            degradation=degradation,
            people=seen[there & ~cut],
        )

    def _in_patch(
        self, boxes: Boxes, x: int, y: int
    ) -> tuple[Boxes, NDArray[np.bool_], NDArray[np.bool_]]:
        """Boxes of a frame cut to a patch, whether they are in it, and whether hardly visible."""
        moved = boxes - np.array([x, y, x, y], np.float32)
        clipped = moved.clip(0, [*self._size, *self._size]).astype(np.float32)
        sides = clipped[:, 2:] - clipped[:, :2]
        area = np.maximum((moved[:, 2:] - moved[:, :2]).prod(1), 1e-6)
        return clipped, (sides > 1).all(1), sides.prod(1) < _MIN_VISIBLE * area

    def _unlabelled(self, frame: Chosen) -> tuple[Boxes, NDArray[np.bool_]]:
        """Where other frames have labels, all of this one is left open."""
        number = min(len(self._labels), 1)
        everything = np.array([[0, 0, *frame.size]] * number, np.float32).reshape(number, 4)
        return everything, np.ones(number, bool)


class CropsOfSeveral:
    """Draws batches of one detector's patches or of another's; see `datasets.Sampler`.

    Args:
        samplers: of each detector.
    """

    def __init__(self, samplers: Sequence[CropSampler]) -> None:
        self._samplers = list(samplers)

    def draw(self, rng: np.random.Generator) -> list[Crop]:
        """Draw a patch of each."""
        return [sampler.draw(rng) for sampler in self._samplers]

    def collate(self, samples: Sequence[Sequence[Crop]], rng: np.random.Generator) -> CropBatch:
        """Stack the patches of one, each as likely as the others."""
        k = int(rng.integers(len(self._samplers)))
        batch = self._samplers[k].collate([of_each[k] for of_each in samples], rng)
        return replace(batch, detector=k)


def cut_inside(
    image: NDArray[np.uint8], corner: NDArray[np.floating], size: tuple[int, int]
) -> tuple[int, int, NDArray[np.uint8]]:
    """Cut a patch of (width, height) px, moved into the image where it fits; grey outside.

    Returns:
        x and y of its upper left corner, and the patch.
    """
    room = np.array(image.shape[1::-1]) - np.array(size)
    x, y = np.clip(np.round(corner), 0, np.maximum(room, 0)).astype(int).tolist()
    part = image[y : y + size[1], x : x + size[0]]
    patch = np.full((size[1], size[0], 3), PADDING, np.uint8)
    patch[: part.shape[0], : part.shape[1]] = part
    return x, y, patch
