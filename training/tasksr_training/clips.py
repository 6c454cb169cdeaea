"""Clips for video super-resolution: real runs of frames, and stills under a drawn camera motion.

The reference trains on Vimeo-90k. Where there is little real video, a still image that is shifted,
turned and zoomed along a smooth path shows what video adds: the same scene on other grids of LR
pixels. What it does not show (people who walk, things that hide others) comes from the real runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_ros.networks.super_resolution.flow import neighbours_and_flows
from tasksr_training.coco import LabelledImage
from tasksr_training.datasets import (
    Batch,
    Patch,
    PatchConfig,
    PatchSampler,
    SourceConfig,
    collate,
    middle,
)
from tasksr_training.degradations import downscale
from tasksr_training.errors import TrainingDataError

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipConfig:
    """How clips are drawn.

    Attributes:
        real_fraction: share of the clips of a real run's frames that show its other frames; the
            rest, and what is in no run, are stills under a drawn motion.
        max_frame_step: greatest difference of the frame numbers of two frames that follow each
            other in a real run; 0: take no real runs.
        max_shift: greatest shift of the camera, HR px per frame.
        max_rotation: greatest rotation of the camera about its axis, degrees per frame.
        max_zoom: greatest change of scale per frame, as a fraction.
        margin: LR px around the patch that the optical flow sees as well.
    """

    real_fraction: float = 1.0
    max_frame_step: int = 2
    max_shift: float = 6.0
    max_rotation: float = 0.4
    max_zoom: float = 0.015
    margin: int = 8


@dataclass(frozen=True, eq=False)
class Clip:
    """One training sample.

    Attributes:
        target: (P, P, 3) uint8 RGB in HR, and who is in it.
        lr: (p, p, 3) uint8 RGB, the target in LR.
        neighbours: (K, p, p, 3) uint8 RGB in LR.
        flows: (K, 2, p, p) float32, LR px.
    """

    target: Patch
    lr: Images
    neighbours: Images
    flows: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipBatch(Batch):
    """A batch of clips, float32 RGB in [0, 1]; `Batch` is of their targets.

    Attributes:
        lr: (N, 3, p, p).
        neighbours: (N, K, 3, p, p).
        flows: (N, K, 2, p, p), LR px.
    """

    lr: Tensor
    neighbours: Tensor
    flows: Tensor


class ClipSampler:
    """Draws clips of a target and its neighbours.

    Args:
        images: of each source, decoded.
        sources: where they came from and how often they are drawn.
        patches: size of the HR patches and how they are cut.
        config: how clips are drawn.
        offsets: of the neighbours, as the network has them.
        scale_factor: 2, 4 or 8.
    """

    def __init__(
        self,
        images: Sequence[Sequence[LabelledImage]],
        sources: Sequence[SourceConfig],
        patches: PatchConfig,
        config: ClipConfig,
        offsets: Sequence[int],
        scale_factor: int,
    ) -> None:
        self._config, self._scale_factor = config, scale_factor
        self._offsets = tuple(offsets)
        self._target = patches
        self._seen = replace(patches, size=patches.size + 2 * config.margin * scale_factor)
        wide = replace(patches, size=self._seen.size + 2 * self._reach())
        known = [with_neighbours(one, self._offsets, config.max_frame_step) for one in images]
        self._patches = PatchSampler(known, sources, wide)

    def draw(self, rng: np.random.Generator) -> Clip:
        """Draw one clip; the same generator state gives the same clip."""
        wide = self._patches.draw(rng)
        real = bool(wide.neighbours) and rng.random() < self._config.real_fraction
        seen = middle(wide, self._seen)
        frames = (seen.image, *seen.neighbours) if real else self._drawn(wide.image, rng)
        return Clip(middle(wide, self._target), *self._low_resolution(frames))

    def collate(self, samples: Sequence[Clip], rng: np.random.Generator) -> ClipBatch:
        """Stack clips."""
        return ClipBatch(
            **vars(collate([s.target for s in samples], rng)),
            lr=_stack([s.lr for s in samples]),
            neighbours=_stack([s.neighbours for s in samples]),
            flows=torch.from_numpy(np.stack([s.flows for s in samples])),
        )

    def _reach(self) -> int:
        """HR px that the farthest frame may show beyond the target's edges."""
        c, steps = self._config, max(abs(o) for o in self._offsets)
        turned = self._seen.size / 2 * (math.radians(c.max_rotation) + c.max_zoom)
        return math.ceil(steps * (c.max_shift + turned))

    def _drawn(self, image: Images, rng: np.random.Generator) -> list[Images | None]:
        """A still under a smooth camera motion: the target, then its neighbours."""
        c = self._config
        shift = rng.uniform(0, c.max_shift)
        heading = rng.uniform(0, 2 * math.pi)
        bend = rng.normal(0, 0.3)  # radians per frame
        rotation = math.radians(rng.uniform(-c.max_rotation, c.max_rotation))
        zoom = rng.uniform(-c.max_zoom, c.max_zoom)
        return [
            moved(
                image,
                self._seen.size,
                (
                    shift * t * math.cos(heading + bend * t / 2),
                    shift * t * math.sin(heading + bend * t / 2),
                ),
                rotation * t,
                1 + zoom * t,
            )
            for t in (0, *self._offsets)
        ]

    def _low_resolution(
        self, frames: Sequence[Images | None]
    ) -> tuple[Images, Images, NDArray[np.float32]]:
        """The target, its neighbours and the flows to them, as `Clip` has them."""
        hr = np.stack([f for f in frames if f is not None])
        lr = downscale(torch.from_numpy(hr).permute(0, 3, 1, 2).float() / 255, self._scale_factor)
        small = iter((lr * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())
        target, *others = (None if f is None else next(small) for f in frames)
        assert target is not None
        neighbours, flows = neighbours_and_flows(target, others)
        m = self._config.margin
        inner = slice(m, len(target) - m)
        return target[inner, inner], neighbours[:, inner, inner], flows[..., inner, inner]


def with_neighbours(
    images: Sequence[LabelledImage], offsets: Sequence[int], max_frame_step: int
) -> list[LabelledImage]:
    """The images; those of real runs know the frames ``offsets`` away, None beyond the run."""
    known = {
        image: tuple(run[k + o].image if 0 <= k + o < len(run) else None for o in offsets)
        for run in real_runs(images, max_frame_step, 2)
        for k, image in enumerate(run)
    }
    return [replace(image, neighbours=known.get(image, ())) for image in images]


def real_runs(
    images: Sequence[LabelledImage], max_frame_step: int, num_frames: int
) -> list[list[LabelledImage]]:
    """Runs of at least ``num_frames`` frames of one drive that follow each other closely."""
    runs: list[list[LabelledImage]] = []
    for image in sorted(
        (i for i in images if i.frame is not None), key=lambda i: (i.sequence, i.frame)
    ):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last.sequence == image.sequence
            and 0 < _number(image) - _number(last) <= max_frame_step
            and last.image.shape == image.image.shape
        ):
            runs[-1].append(image)
        else:
            runs.append([image])
    return [run for run in runs if len(run) >= num_frames]


def _number(image: LabelledImage) -> int:
    if image.frame is None:
        raise TrainingDataError(f"{image.name}: expected a frame number")
    return image.frame


def moved(
    image: Images, side: int, shift: tuple[float, float], rotation: float, zoom: float
) -> Images:
    """The middle of an image as a moved camera would see it.

    Args:
        image: (H, W, 3) uint8 RGB, larger than the result by what the motion uncovers.
        side: of the square result, px.
        shift: of the camera to the right and down, px.
        rotation: of the camera, radians.
        zoom: 1: none; above 1 the scene grows.
    """
    if shift == (0, 0) and rotation == 0 and zoom == 1:
        y, x = ((n - side) // 2 for n in image.shape[:2])
        return np.ascontiguousarray(image[y : y + side, x : x + side])
    cos, sin = math.cos(rotation) / zoom, math.sin(rotation) / zoom
    centre = (side - 1) / 2
    y0, x0 = ((n - side) // 2 + centre for n in image.shape[:2])
    there = np.array(
        [
            [cos, -sin, x0 + shift[0] - cos * centre + sin * centre],
            [sin, cos, y0 + shift[1] - sin * centre - cos * centre],
        ]
    )
    warped = cv2.warpAffine(
        image,
        there,
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


def _stack(images: Sequence[Images]) -> Tensor:
    """uint8 (…, H, W, 3) each -> float32 (N, …, 3, H, W) in [0, 1]."""
    stacked = np.moveaxis(np.stack(images), -1, -3)
    return torch.from_numpy(np.ascontiguousarray(stacked)).float() / 255
