"""HR maps in parts on the LR grid: where they lie, and kernels that work on them.

Of the s x s HR pixels that belong to one LR pixel, those at some offsets are connected by a
projection (kernel size k, stride s, padding p) with the same LR pixels. Along one axis, a
transposed convolution makes offset r from the LR pixels at shifts d with 0 <= r + p - s·d < k:

    x2   offsets 0-1 from -1, 0, 1
    x4   offsets 0-1 from -1, 0;  2-3 from 0, 1
    x8   offsets 0-1 from -1, 0;  2-5 from 0;  6-7 from 0, 1

A strided convolution reads the other way round. Such a run of offsets in both axes is a part: an
HR map has 1, 4 or 9 of them. Held part by part, with the offsets in the channels, it is a few maps
of the LR grid's size; a transposed convolution is one small ordinary convolution per part, and a
strided one the sum of one per part.

Channels of a part: offset row, offset column, feature (slowest to fastest).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import torch
from torch import Tensor

from tasksr_ros.networks.super_resolution.blocks import KERNEL_STRIDE_PADDING

Parts: TypeAlias = list[Tensor]
"""An HR map: (N, offsets·C, H, W) for each of `parts_of` its scale factor, in that order."""

Padding: TypeAlias = tuple[int, int, int, int]
"""Left, right, top, bottom, as ``torch.nn.functional.pad`` takes it."""


@dataclass(frozen=True)
class Run:
    """Offsets of one axis that are made from the same LR pixels.

    Attributes:
        offsets: in HR px within the LR pixel.
        shifts: of those LR pixels, relative to their own, in LR px; ascending.
    """

    offsets: range
    shifts: range


@dataclass(frozen=True)
class Part:
    """A run of rows and a run of columns."""

    scale_factor: int
    rows: Run
    columns: Run

    @property
    def num_offsets(self) -> int:
        """HR pixels per LR pixel."""
        return len(self.rows.offsets) * len(self.columns.offsets)

    def deconv_kernels(self, weight: Tensor) -> tuple[Tensor, Padding]:
        """Of a ConvTranspose2d (Cin, Cout, k, k), those of a Conv2d that makes this part.

        Returns:
            (offsets·Cout, Cin, shifts, shifts) and the padding that the LR map needs.
        """
        rows, columns = (self._taps(run, run.shifts) for run in (self.rows, self.columns))
        # (Cin, Cout, offset row, shift row, offset column, shift column)
        taken = weight[:, :, rows[:, :, None, None], columns]
        top, bottom = -self.rows.shifts[0], self.rows.shifts[-1]
        left, right = -self.columns.shifts[0], self.columns.shifts[-1]
        return taken.permute(2, 4, 1, 0, 3, 5).flatten(0, 2), (left, right, top, bottom)

    def conv_kernels(self, weight: Tensor) -> tuple[Tensor, Padding]:
        """Of a strided Conv2d (Cout, Cin, k, k), those of a Conv2d that reads this part.

        Returns:
            (Cout, offsets·Cin, shifts, shifts) and the padding that the part needs.
        """
        rows, columns = (self._taps(run, run.shifts[::-1]) for run in (self.rows, self.columns))
        taken = weight[:, :, rows[:, :, None, None], columns]
        top, bottom = self.rows.shifts[-1], -self.rows.shifts[0]
        left, right = self.columns.shifts[-1], -self.columns.shifts[0]
        return taken.permute(0, 2, 4, 1, 3, 5).flatten(1, 3), (left, right, top, bottom)

    def image_kernels(self, weight: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
        """Of a "same" HR Conv2d (Cout, C, k, k), 1x1 ones that give what this part adds to it.

        Its offsets reach as many pixels further as the convolution does; these patches, which
        overlap with those of other parts and LR pixels, are cut into images of s x s px per LR
        pixel.

        Returns:
            (images·Cout·s·s, offsets·C, 1, 1), the output's channels ordered for
            ``pixel_shuffle`` of each image, and how far each image is to be shifted, (down,
            right) in HR px.
        """
        s, (out_channels, channels, size, _) = self.scale_factor, weight.shape
        reach = size // 2
        lengths = [len(run.offsets) for run in (self.rows, self.columns)]
        counts = [-(-(length + 2 * reach) // s) for length in lengths]
        patch = weight.new_zeros(out_channels, counts[0] * s, counts[1] * s, *lengths, channels)
        pushed = weight.flip(2, 3).permute(0, 2, 3, 1)
        for row, column in product(*map(range, lengths)):
            patch[:, row : row + size, column : column + size, row, column] = pushed
        images = patch.view(out_channels, counts[0], s, counts[1], s, -1)
        kernels = images.permute(1, 3, 0, 2, 4, 5).flatten(0, 4)[:, :, None, None]
        first = self.rows.offsets[0] - reach, self.columns.offsets[0] - reach
        return kernels, [
            (first[0] + s * i, first[1] + s * j) for i, j in product(*map(range, counts))
        ]

    def _taps(self, run: Run, shifts: range) -> Tensor:
        """(offsets, shifts): which tap of the projection connects them."""
        _, s, padding = KERNEL_STRIDE_PADDING[self.scale_factor]
        return torch.tensor([[r + padding - s * d for d in shifts] for r in run.offsets])


def runs_of(scale_factor: int) -> list[Run]:
    """The runs of one axis, in the order of their offsets."""
    size, s, padding = KERNEL_STRIDE_PADDING[scale_factor]
    runs: list[Run] = []
    for r in range(s):
        # 0 <= r + padding - s·d < size, solved for d
        shifts = range(-((size - 1 - r - padding) // s), (r + padding) // s + 1)
        first = runs.pop().offsets[0] if runs and runs[-1].shifts == shifts else r
        runs.append(Run(range(first, r + 1), shifts))
    return runs


def parts_of(scale_factor: int) -> list[Part]:
    """The parts of an HR map, row by row."""
    runs = runs_of(scale_factor)
    return [Part(scale_factor, rows, columns) for rows, columns in product(runs, runs)]


def pack(parts: Parts) -> Tensor:
    """One map (N, s·s·C, H, W): all parts' channels side by side."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def unpack(packed: Tensor, scale_factor: int) -> Parts:
    """The inverse of `pack`."""
    channels = packed.shape[1] // scale_factor**2
    sizes = [part.num_offsets * channels for part in parts_of(scale_factor)]
    return list(torch.split(packed, sizes, 1))


def join(maps: list[Tensor], num_offsets: int) -> Tensor:
    """Maps with that many offsets -> one, with all maps' features side by side at each offset."""
    if len(maps) == 1:
        return maps[0]
    n, _, height, width = maps[0].shape
    by_offset = [h.reshape(n, num_offsets, -1, height, width) for h in maps]
    return torch.cat(by_offset, 2).flatten(1, 2)


def to_parts(h: Tensor, scale_factor: int) -> Parts:
    """An HR map (N, C, H·s, W·s) in parts."""
    s, (n, channels) = scale_factor, h.shape[:2]
    blocks = h.reshape(n, channels, h.shape[2] // s, s, h.shape[3] // s, s).permute(
        0, 3, 5, 1, 2, 4
    )
    return [
        blocks[:, p.rows.offsets[0] : p.rows.offsets[-1] + 1][
            :, :, p.columns.offsets[0] : p.columns.offsets[-1] + 1
        ].flatten(1, 3)
        for p in parts_of(s)
    ]


def from_parts(parts: Parts, scale_factor: int) -> Tensor:
    """The inverse of `to_parts`."""
    s, (n, _, height, width) = scale_factor, parts[0].shape
    blocks = [
        part.reshape(n, len(p.rows.offsets), len(p.columns.offsets), -1, height, width)
        for part, p in zip(parts, parts_of(s), strict=True)
    ]
    across = len(runs_of(s))
    rows = [torch.cat(blocks[i : i + across], 2) for i in range(0, len(blocks), across)]
    h = torch.cat(rows, 1).permute(0, 3, 4, 1, 5, 2)
    return h.reshape(n, -1, height * s, width * s)
