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
from tasksr_training.datasets import PatchConfig, PatchSampler, SourceConfig, cut, flip
from tasksr_training.degradations import downscale
from tasksr_training.errors import TrainingDataError

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipConfig:
    """How clips are drawn.

    Attributes:
        real_fraction: share of the clips that come from real runs of frames, where a source has
            them; the others are stills under a drawn motion.
        max_frame_step: greatest difference of the frame numbers of two frames that follow each
            other in a real run; 0: take no real runs.
        max_shift: greatest shift of the camera, HR px per frame.
        max_rotation: greatest rotation of the camera about its axis, degrees per frame.
        max_zoom: greatest change of scale per frame, as a fraction.
        margin: LR px around the patch that the optical flow sees as well.
    """

    real_fraction: float = 0.2
    max_frame_step: int = 2
    max_shift: float = 6.0
    max_rotation: float = 0.4
    max_zoom: float = 0.015
    margin: int = 8


@dataclass(frozen=True, eq=False)
class Clip:
    """One training sample.

    Attributes:
        hr: (P, P, 3) uint8 RGB, the target.
        lr: (p, p, 3) uint8 RGB, the target in LR.
        neighbours: (K, p, p, 3) uint8 RGB in LR.
        flows: (K, 2, p, p) float32, LR px.
    """

    hr: Images
    lr: Images
    neighbours: Images
    flows: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """A batch of clips, float32 RGB in [0, 1].

    Attributes:
        hr: (N, 3, P, P).
        lr: (N, 3, p, p).
        neighbours: (N, K, 3, p, p).
        flows: (N, K, 2, p, p), LR px.
    """

    hr: Tensor
    lr: Tensor
    neighbours: Tensor
    flows: Tensor

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on ``device``."""
        moved = (t.to(device) for t in (self.hr, self.lr, self.neighbours, self.flows))
        return ClipBatch(*moved)


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
        self._side = patches.size + 2 * config.margin * scale_factor
        self._wide = replace(patches, size=self._side + 2 * self._reach())
        self._stills = PatchSampler(images, sources, self._wide)
        self._square = replace(patches, size=self._side)
        self._runs = [
            (run, source)
            for one, source in zip(images, sources, strict=True)
            for run in real_runs(one, config.max_frame_step, 1 + len(self._offsets))
        ]

    def draw(self, rng: np.random.Generator) -> Clip:
        """Draw one clip; the same generator state gives the same clip."""
        real = bool(self._runs) and rng.random() < self._config.real_fraction
        frames = self._real(rng) if real else self._drawn(rng)
        return self._clip(frames)

    def collate(self, samples: Sequence[Clip], rng: np.random.Generator) -> ClipBatch:
        """Stack clips."""
        del rng
        return ClipBatch(
            _stack([s.hr for s in samples]),
            _stack([s.lr for s in samples]),
            _stack([s.neighbours for s in samples]),
            torch.from_numpy(np.stack([s.flows for s in samples])),
        )

    def _reach(self) -> int:
        """HR px that the farthest frame may show beyond the target's edges."""
        c, steps = self._config, max(abs(o) for o in self._offsets)
        turned = self._side / 2 * (math.radians(c.max_rotation) + c.max_zoom)
        return math.ceil(steps * (c.max_shift + turned))

    def _drawn(self, rng: np.random.Generator) -> list[Images]:
        """A still under a smooth camera motion: the target, then its neighbours."""
        image = self._stills.draw(rng).image
        c = self._config
        shift = rng.uniform(0, c.max_shift)
        heading = rng.uniform(0, 2 * math.pi)
        bend = rng.normal(0, 0.3)  # radians per frame
        rotation = math.radians(rng.uniform(-c.max_rotation, c.max_rotation))
        zoom = rng.uniform(-c.max_zoom, c.max_zoom)
        return [
            moved(
                image,
                self._side,
                (
                    shift * t * math.cos(heading + bend * t / 2),
                    shift * t * math.sin(heading + bend * t / 2),
                ),
                rotation * t,
                1 + zoom * t,
            )
            for t in (0, *self._offsets)
        ]

    def _real(self, rng: np.random.Generator) -> list[Images]:
        """A square cut from frames that follow each other: the target, then its neighbours."""
        run, source = self._runs[int(rng.integers(len(self._runs)))]
        before = -min(self._offsets)
        target = before + int(rng.integers(len(run) - len(self._offsets)))
        way = 1 if rng.random() < 0.5 else -1  # time may run backwards
        if way < 0:
            target = len(run) - 1 - target
        height, width = run[target].image.shape[:2]
        scale = float(rng.uniform(source.min_scale, min(1.0, source.max_scale)))
        side = min(round(self._side / scale), height, width)
        corner = rng.random(2) * [width - side, height - side]
        patches = [
            cut(run[target + way * t], corner, side, self._square) for t in (0, *self._offsets)
        ]
        if rng.random() < 0.5:
            patches = [flip(p) for p in patches]
        return [p.image for p in patches]

    def _clip(self, frames: Sequence[Images]) -> Clip:
        hr = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
        lr = downscale(hr, self._scale_factor)
        images = (lr * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        neighbours, flows = neighbours_and_flows(images[0], list(images[1:]))
        m, big = self._config.margin, self._config.margin * self._scale_factor
        inner, inner_hr = slice(m, images.shape[1] - m), slice(big, frames[0].shape[0] - big)
        return Clip(
            frames[0][inner_hr, inner_hr],
            images[0][inner, inner],
            neighbours[:, inner, inner],
            flows[..., inner, inner],
        )


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
