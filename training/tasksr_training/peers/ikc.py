"""IKC: blind super-resolution by iterative kernel correction.

Gu, Lu, Zuo, Dong: "Blind Super-Resolution with Iterative Kernel Correction", CVPR 2019
(arXiv 1904.03377). Structure and names of the state dict's keys are those of the public code,
yuanjunchai/IKC (Apache-2.0; sftmd_arch.py, test_IKC.py).

A blur kernel is a code of ten numbers (`KernelBasis`). The predictor guesses it from the LR image,
SFTMD makes an image with it, the corrector sees in the image how wrong the code was, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.blocks import check_images
from tasksr_ros.networks.super_resolution.dbpn import load_reference_state_dict
from tasksr_training.peers.parts import without

CODE_LENGTH = 10
KERNEL_SIZE = 21
STEPS = 7

_leaky = partial(F.leaky_relu, negative_slope=0.2)


class KernelBasis(nn.Module):
    """Kernels as codes: their coordinates along principal directions; no mean is subtracted.

    Args:
        kernel_size: side of a kernel.
        code_length: numbers of a code.
    """

    pca_matrix: Tensor

    def __init__(self, kernel_size: int = KERNEL_SIZE, code_length: int = CODE_LENGTH) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.register_buffer("pca_matrix", torch.eye(kernel_size**2, code_length))

    def forward(self, kernels: Tensor) -> Tensor:
        """(N, k, k) with a sum of 1 -> (N, code_length)."""
        if tuple(kernels.shape[1:]) != (self.kernel_size, self.kernel_size):
            raise ValueError(
                f"expected kernels of shape (N, {self.kernel_size}, {self.kernel_size}), "
                f"got {tuple(kernels.shape)}"
            )
        return kernels.flatten(1) @ self.pca_matrix

    def decode(self, codes: Tensor) -> Tensor:
        """(N, code_length) -> (N, k, k): the nearest kernels that the directions can make."""
        return (codes @ self.pca_matrix.T).unflatten(1, (self.kernel_size, self.kernel_size))

    @torch.no_grad()
    def fit(self, kernels: Tensor) -> None:
        """Take the principal directions of kernels (M, k, k), M at least ``code_length``."""
        flat = kernels.flatten(1).double()
        directions = torch.linalg.svd(flat - flat.mean(0), full_matrices=False).Vh
        self.pca_matrix.copy_(directions[: self.pca_matrix.shape[1]].T)

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the published matrix; see `SFTMD.load_reference_state_dict`."""
        load_reference_state_dict(self, state_dict)


class Predictor(nn.Module):
    """The code of an image's kernel, the first guess.

    Args:
        nf: channels.
        code_length: numbers of a code.
    """

    def __init__(self, nf: int = 64, code_length: int = CODE_LENGTH) -> None:
        super().__init__()
        self.ConvNet = _convolutions([3, *[nf] * 5, code_length], (1, 1, 1, 2, 1, 1))

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) float RGB in [0, 1] -> (N, code_length)."""
        check_images(lr, 3, self.ConvNet.get_parameter("0.weight"))
        code: Tensor = self.ConvNet(lr).mean((2, 3))
        return code

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """See `SFTMD.load_reference_state_dict`."""
        load_reference_state_dict(self, state_dict)


class Corrector(nn.Module):
    """What is wrong with a code, from the image that was made with it.

    Args:
        nf: channels.
        code_length: numbers of a code.
    """

    def __init__(self, nf: int = 64, code_length: int = CODE_LENGTH) -> None:
        super().__init__()
        self.ConvNet = _convolutions([3, *[nf] * 7], (1, 2, 1, 2, 1, 1, 1))
        self.code_dense = nn.Sequential(
            nn.Linear(code_length, nf), nn.LeakyReLU(0.2), nn.Linear(nf, nf), nn.LeakyReLU(0.2)
        )
        self.global_dense = nn.Sequential(
            nn.Conv2d(2 * nf, 2 * nf, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * nf, nf, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(nf, code_length, 1),
        )

    def forward(self, sr: Tensor, code: Tensor) -> Tensor:
        """Image (N, 3, H, W) and its code (N, code_length) -> the corrected code."""
        check_images(sr, 3, self.ConvNet.get_parameter("0.weight"))
        seen = self.ConvNet(sr)
        believed = _spread(self.code_dense(code), seen)
        corrected: Tensor = code + self.global_dense(torch.cat([seen, believed], 1)).mean((2, 3))
        return corrected

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """See `SFTMD.load_reference_state_dict`."""
        load_reference_state_dict(self, state_dict)


class SFT(nn.Module):
    """Spatial feature transform: features scaled and shifted as the code demands."""

    def __init__(self, nf: int, code_length: int, hidden: int) -> None:
        super().__init__()
        self.mul_conv1 = _conv3(nf + code_length, hidden)
        self.mul_conv2 = _conv3(hidden, nf)
        self.add_conv1 = _conv3(nf + code_length, hidden)
        self.add_conv2 = _conv3(hidden, nf)

    def forward(self, features: Tensor, code_map: Tensor) -> Tensor:
        """(N, nf, H, W) and (N, code_length, H, W) -> (N, nf, H, W)."""
        both = torch.cat([features, code_map], 1)
        scale = torch.sigmoid(self.mul_conv2(_leaky(self.mul_conv1(both))))
        shift: Tensor = self.add_conv2(_leaky(self.add_conv1(both)))
        return features * scale + shift


class SFTResidualBlock(nn.Module):
    """Two convolutions, each after a transform by the code, and a skip."""

    def __init__(self, nf: int, code_length: int, hidden: int) -> None:
        super().__init__()
        self.sft1 = SFT(nf, code_length, hidden)
        self.conv1 = _conv3(nf, nf)
        self.sft2 = SFT(nf, code_length, hidden)
        self.conv2 = _conv3(nf, nf)

    def forward(self, x: Tensor, code_map: Tensor) -> Tensor:
        """(N, nf, H, W) and (N, code_length, H, W) -> (N, nf, H, W)."""
        y = self.conv1(F.relu(self.sft1(x, code_map)))
        y = self.conv2(F.relu(self.sft2(y, code_map)))
        return x + y


class SFTMD(nn.Module):
    """Super-resolution for a known kernel, whose code transforms the features everywhere.

    Args:
        scale_factor: 2, 3 or 4.
        nf: channels.
        num_blocks: residual blocks.
        code_length: numbers of a code.
        sft_hidden: channels within the transforms.
        limits: the output is clipped to them, also while training.
    """

    def __init__(
        self,
        scale_factor: int = 4,
        nf: int = 64,
        num_blocks: int = 16,
        code_length: int = CODE_LENGTH,
        sft_hidden: int = 32,
        limits: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        if scale_factor not in (2, 3, 4):
            raise ValueError(f"scale_factor must be one of 2, 3, 4, got {scale_factor!r}")
        self.scale_factor, self.num_blocks, self.limits = scale_factor, num_blocks, limits
        self.code_length = code_length
        self.conv1 = _conv3(3, nf)
        self.conv2 = _conv3(nf, nf)
        self.conv3 = _conv3(nf, nf)
        for number in range(1, num_blocks + 1):
            block = SFTResidualBlock(nf, code_length, sft_hidden)
            self.add_module(f"SFT-residual{number}", block)
        self.sft = SFT(nf, code_length, sft_hidden)
        self.conv_mid = _conv3(nf, nf)
        enlarging: list[nn.Module] = []
        for factor in (2, 2) if scale_factor == 4 else (scale_factor,):
            enlarging += [_conv3(nf, nf * factor**2), nn.PixelShuffle(factor), nn.LeakyReLU(0.2)]
        self.upscale = nn.Sequential(*enlarging)
        self.conv_output = nn.Conv2d(nf, 3, 9, padding=4)

    def forward(self, lr: Tensor, code: Tensor) -> Tensor:
        """Super-resolve images whose kernels are known.

        Args:
            lr: (N, 3, H, W) float RGB in [0, 1].
            code: (N, code_length), see `KernelBasis`.

        Returns:
            (N, 3, H·s, W·s) within ``limits``.

        Raises:
            ValueError: for batches of other shapes or types.
        """
        check_images(lr, 3, self.conv1.weight)
        if tuple(code.shape) != (len(lr), self.code_length):
            raise ValueError(
                f"expected code of shape {(len(lr), self.code_length)}, got {tuple(code.shape)}"
            )
        code_map = _spread(code, lr)
        first = self.conv3(_leaky(self.conv2(_leaky(self.conv1(lr)))))
        x = first
        for number in range(1, self.num_blocks + 1):
            x = self.get_submodule(f"SFT-residual{number}")(x, code_map)
        x = self.conv_mid(self.sft(x + first, code_map))
        sr: Tensor = self.conv_output(self.upscale(x))
        return sr.clamp(*self.limits)

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load published weights; ``sft_branch``, which the public code never calls, is left out.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        load_reference_state_dict(self, without(state_dict, "sft_branch.", "module.sft_branch."))


class IKC(nn.Module):
    """The three networks and the loop.

    Args:
        sftmd: makes images.
        predictor: guesses the code.
        corrector: corrects it.
        steps: images that are made.
    """

    def __init__(
        self, sftmd: SFTMD, predictor: Predictor, corrector: Corrector, steps: int = STEPS
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.SFTMD, self.Predictor, self.Corrector = sftmd, predictor, corrector
        self.steps, self.scale_factor = steps, sftmd.scale_factor

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> the last image (N, 3, H·s, W·s), the code (N, c) it was made with."""
        code = self.Predictor(lr)
        sr = self.SFTMD(lr, code)
        for _ in range(self.steps - 1):
            code = self.Corrector(sr, code)
            sr = self.SFTMD(lr, code)
        return sr, code

    def trace(self, lr: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """All images, and all codes: image k was made with code k, one code is left over."""
        images: list[Tensor] = []
        codes: list[Tensor] = [self.Predictor(lr)]
        for _ in range(self.steps):
            images.append(self.SFTMD(lr, codes[-1]))
            codes.append(self.Corrector(images[-1], codes[-1]))
        return images, codes

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of the three, each under its name; see `SFTMD`'s."""
        load_reference_state_dict(self, without(state_dict, "SFTMD.sft_branch."))


def _convolutions(channels: Sequence[int], strides: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for (before, after), stride in zip(pairwise(channels), strides, strict=True):
        layers += [nn.Conv2d(before, after, 5, stride, padding=2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def _conv3(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


def _spread(vector: Tensor, like: Tensor) -> Tensor:
    """(N, C) -> (N, C, H, W) of ``like``, the same everywhere."""
    return vector[:, :, None, None].expand(-1, -1, *like.shape[2:])
