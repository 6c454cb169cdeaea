"""KBPN: Kernelized Back-Projection Network for blind super-resolution.

Yoshida, Kondo, Maeda, Akita, Ukita: "Kernelized Back-Projection Networks for Blind Super
Resolution", arXiv 2302.08478. Structure, attribute names (they give the state dict's keys) and
initialisation follow the authors' public code, Yuki-11/CSBSR (model/modeling/kbpn.py) in its
released configuration.

The network finds the blur kernel along with the image: every stage reconstructs an image, corrects
the kernel by it, blurs the image with the kernel, and projects the difference from the input back.

The reference stretches the kernel's k² numbers to constant maps and convolves those at full size.
Here a constant map is convolved on the smallest grid that shows all of its border's cases, and the
result is stretched; likewise a convolution that is averaged afterwards becomes one of averages. The
numbers are the same, in 0.6 of the time (0.33 for the small network; OpenVINO, one thread).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.blocks import (
    KERNEL_STRIDE_PADDING,
    ConvBlock,
    DeconvBlock,
    DownUnit,
    UpUnit,
    check_finite,
    check_images,
    check_scale_factor,
)
from tasksr_ros.networks.super_resolution.dbpn import load_reference_state_dict, without_module

VARIANTS: dict[str, dict[str, int]] = {
    "kbpn": {},
    "kbpn-small": {"ks": 5, "kout": 13, "num_stage": 2, "md_ch": 16, "reduction_ch": 16},
}
"""Constructor arguments by name; the small one, with the same structure and 0.96 M parameters
at x4, is ours. It sees kernels of up to 13x13 HR px."""

_NUM_CHANNELS = 3


def stretch_kernel(kernel: Tensor, hw: tuple[int, int]) -> Tensor:
    """(N, k, k) -> (N, k², H, W), constant over the grid: the form of the reference's output."""
    return kernel.flatten(1)[:, :, None, None].expand(-1, -1, *hw)


def blur(images: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Correlate each image with its own kernel, zeros outside, and keep every ``stride``-th pixel.

    The kernel is not flipped, and output pixel i is centred at input pixel stride·i: as in the
    reference, and unlike a resizing, whose pixels are centred (stride - 1) / 2 px further.

    Args:
        images: (N, C, H, W).
        kernel: (N, k, k), k odd.
        stride: step in px.

    Returns:
        (N, C, ceil(H / stride), ceil(W / stride)).
    """
    n, channels, height, width = images.shape
    size = kernel.shape[-1]
    weight = kernel[:, None].expand(n, channels, size, size).reshape(n * channels, 1, size, size)
    flat = images.reshape(1, n * channels, height, width)
    blurred = F.conv2d(flat, weight, stride=stride, padding=size // 2, groups=n * channels)
    return blurred.view(n, channels, *blurred.shape[2:])


def _constant(vector: Tensor, reach: int, hw: tuple[int, int]) -> Tensor:
    """(N, C) -> (N, C, h, w), constant, just large enough for convolutions of that reach."""
    height, width = (min(size, 2 * reach + 1) for size in hw)
    return vector[:, :, None, None].expand(-1, -1, height, width)


def _stretch(x: Tensor, reach: int, hw: tuple[int, int]) -> Tensor:
    """Repeat the middle of a convolved `_constant` map until it is ``hw`` large."""
    for axis, size in zip((2, 3), hw, strict=True):
        if size > x.shape[axis]:
            index = torch.arange(size, device=x.device)
            from_end = (index - (size - 1 - reach)).clamp(min=0)
            x = x.index_select(axis, index.clamp(max=reach) + from_end)
    return x


def _conv_with_constant(conv: nn.Conv2d, x: Tensor, constant: Tensor, reach: int) -> Tensor:
    """``conv`` of x beside a map that is constant but for ``reach`` px at its borders.

    Args:
        conv: a "same" convolution of C1 + C2 channels.
        x: (N, C1, H, W).
        constant: (N, C2, h, w), the `_constant` form of the map.
        reach: of what made the map, with this convolution.
    """
    padding = conv.kernel_size[0] // 2
    channels = x.shape[1]
    y = F.conv2d(x, conv.weight[:, :channels], padding=padding)
    constant = F.conv2d(constant, conv.weight[:, channels:], conv.bias, padding=padding)
    return y + _stretch(constant, reach, (x.shape[2], x.shape[3]))


def _mean_of_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Mean over the pixels of a "same" convolution of x: the convolution of shifted means.

    (N, Cin, H, W) -> (N, Cout).
    """
    padding = conv.kernel_size[0] // 2
    means = F.avg_pool2d(F.pad(x, [padding] * 4), (x.shape[2], x.shape[3]), stride=1)
    return F.conv2d(means, conv.weight, conv.bias).flatten(1)


def _normalised(vector: Tensor) -> Tensor:
    """(N, C) scaled to a sum of 1; one that sums to 0 stays as it is."""
    total = vector.sum(1, keepdim=True)
    return vector / torch.where(total == 0, 1.0, total)


def _resized(vector: Tensor, ks: int, kout: int) -> Tensor:
    """(N, ks²) -> (N, kout²), bicubic."""
    if ks == kout:
        return vector
    square = vector.view(-1, 1, ks, ks)
    resized = F.interpolate(square, (kout, kout), mode="bicubic", align_corners=False)
    return resized.flatten(1)


class _Conv(nn.Module):
    """Conv2d that keeps the size and has no bias, then ``act``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, act: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.act = nn.Identity() if act is None else act

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        y: Tensor = self.act(self.conv(x))
        return y


def _without_bias(*blocks: ConvBlock | DeconvBlock) -> nn.Module:
    """Take the biases from blocks that have one elsewhere; returns the last."""
    for block in blocks:
        conv = block.conv if isinstance(block, ConvBlock) else block.deconv
        conv.register_parameter("bias", None)
    return blocks[-1]


def _leaky_conv(in_channels: int, out_channels: int, kernel_size: int = 3) -> _Conv:
    return _Conv(in_channels, out_channels, kernel_size, nn.LeakyReLU(0.01))


class InitialPredictor(nn.Module):
    """A first kernel from the features of the LR image.

    Args:
        md_ch: channels of the features.
        ks: side of the predicted kernel.
        kout: side to which it is resized.
    """

    def __init__(self, md_ch: int, ks: int, kout: int) -> None:
        super().__init__()
        self.ks, self.kout = ks, kout
        self.feat_ext = nn.Sequential(
            _Conv(md_ch, md_ch, 3, nn.PReLU()),
            _Conv(md_ch, md_ch, 3, nn.PReLU()),
            _Conv(md_ch, ks**2, 3, nn.PReLU()),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, md_ch, H, W) -> (N, kout²) with a sum of 1."""
        vector = self.feat_ext(features).mean((2, 3))
        return _normalised(_resized(vector, self.ks, self.kout))


class KernelPredictor(nn.Module):
    """The correction of a kernel by an image that was reconstructed with it.

    Args:
        ks: side of the predicted correction.
        kout: side of the kernel.
        reduction_ch: channels on the way.
    """

    def __init__(self, ks: int, kout: int, reduction_ch: int) -> None:
        super().__init__()
        self.ks, self.kout = ks, kout
        channels = ks**2
        self.fe_SR = nn.Sequential(
            _Conv(_NUM_CHANNELS, channels, 3, nn.ReLU()),
            _leaky_conv(channels, reduction_ch, 1),
            _leaky_conv(reduction_ch, reduction_ch),
            _leaky_conv(reduction_ch, reduction_ch),
            _leaky_conv(reduction_ch, channels),
        )
        self.fe_kernel = nn.Sequential(
            _leaky_conv(kout**2, channels), _leaky_conv(channels, channels)
        )
        self.fe_cat = nn.Sequential(
            _leaky_conv(2 * channels, reduction_ch, 1),
            _leaky_conv(reduction_ch, reduction_ch),
            _Conv(reduction_ch, channels, 3),
        )

    def forward(self, sr: Tensor, kernel: Tensor) -> Tensor:
        """Image (N, 3, H·s, W·s) and kernel (N, kout²) -> corrected kernel (N, kout²)."""
        hw = (sr.shape[2], sr.shape[3])
        from_kernel = self.fe_kernel(_constant(kernel, 2, hw))
        first = self.fe_cat[0]
        assert isinstance(first, _Conv)
        x = first.act(_conv_with_constant(first.conv, self.fe_SR(sr), from_kernel, 2))
        last = self.fe_cat[2]
        assert isinstance(last, _Conv)
        correction = _mean_of_conv(last.conv, self.fe_cat[1](x))
        return kernel + _resized(correction, self.ks, self.kout)


class KernelBlock(nn.Module):
    """Back-projection through the blur: corrects the kernel and the HR features.

    Args:
        md_ch: channels of an HR map.
        scale_factor: 2, 4 or 8.
        predictor: of the kernel's correction.
        num_maps: HR maps that take part in the reconstruction.
    """

    def __init__(
        self, md_ch: int, scale_factor: int, predictor: KernelPredictor, num_maps: int
    ) -> None:
        super().__init__()
        self.scale_factor, self.kout = scale_factor, predictor.kout
        self.sr_reconst: nn.Module = _Conv(num_maps * md_ch, _NUM_CHANNELS, 3)
        self.kernel_predictor = predictor
        up_conv1 = DeconvBlock(_NUM_CHANNELS, md_ch, *KERNEL_STRIDE_PADDING[scale_factor])
        self.up_conv1: nn.Module = _without_bias(up_conv1)

    def forward(
        self, h: Tensor, lr: Tensor, kernel: Tensor, correct: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the projected error and the kernel that was used.

        Args:
            h: all HR maps (N, num_maps·md_ch, H·s, W·s), oldest first.
            lr: the network's input (N, 3, H, W).
            kernel: (N, kout²).
            correct: correct the kernel first; otherwise it is only scaled to a sum of 1.

        Returns:
            (N, md_ch, H·s, W·s), to be added to the newest map, and (N, kout²).
        """
        sr = self.sr_reconst(h)
        if correct:
            kernel = self.kernel_predictor(sr, kernel)
        kernel = _normalised(kernel)
        square = kernel.view(-1, self.kout, self.kout)
        error: Tensor = self.up_conv1(blur(sr, square, self.scale_factor) - lr)
        return error, kernel


class SFT(nn.Module):
    """Spatial feature transform: features scaled and shifted as the kernel demands.

    Args:
        channels: of the features.
        kout: side of the kernel.
    """

    def __init__(self, channels: int, kout: int) -> None:
        super().__init__()
        both = channels + kout**2
        self.SFT_scale_conv0 = nn.Conv2d(both, both, 3, padding=1)
        self.SFT_scale_conv1 = nn.Conv2d(both, channels, 3, padding=1)
        self.SFT_shift_conv0 = nn.Conv2d(both, both, 3, padding=1)
        self.SFT_shift_conv1 = nn.Conv2d(both, channels, 3, padding=1)

    def forward(self, features: Tensor, kernel: Tensor) -> Tensor:
        """(N, channels, H, W) and (N, kout²) -> (N, channels, H, W)."""
        constant = _constant(kernel, 1, (features.shape[2], features.shape[3]))
        scale, shift = (
            last(F.leaky_relu(_conv_with_constant(first, features, constant, 1), 0.1))
            for first, last in (
                (self.SFT_scale_conv0, self.SFT_scale_conv1),
                (self.SFT_shift_conv0, self.SFT_shift_conv1),
            )
        )
        y: Tensor = features * torch.sigmoid(scale) + shift
        return y


class Stage(nn.Module):
    """Up-projection, kernel block and, but for the last stage, down-projection and SFT.

    Args:
        md_ch: channels of a map.
        scale_factor: 2, 4 or 8.
        predictor: of the kernel's correction.
        number: of the stage, from 1.
        last: nothing goes back to the LR grid.
    """

    def __init__(
        self, md_ch: int, scale_factor: int, predictor: KernelPredictor, number: int, last: bool
    ) -> None:
        super().__init__()
        up = UpUnit(md_ch, scale_factor)
        _without_bias(up.up_conv1, up.up_conv2, up.up_conv3)
        up.conv = ConvBlock(max(1, number - 1) * md_ch, md_ch, 1)  # also for a single map
        self.up: nn.Module = up
        self.kb = KernelBlock(md_ch, scale_factor, predictor, number)
        self.down: nn.Module | None = None
        self.sft: SFT | None = None
        if not last:
            down = DownUnit(md_ch, scale_factor)
            _without_bias(down.down_conv1, down.down_conv2, down.down_conv3)
            down.conv = ConvBlock(number * md_ch, md_ch, 1)
            self.down, self.sft = down, SFT(number * md_ch, predictor.kout)


class KBPN(nn.Module):
    """Dense back-projection that estimates the blur kernel; the sum with bicubic upscaling.

    Args:
        scale: scale factor: 2, 4 or 8.
        ks: side of the kernels as they are predicted (the reference's BLUR.KERNEL_SIZE).
        kout: side of the kernel as it is used and returned, to which predictions are resized
            (BLUR.KERNEL_SIZE_OUTPUT); in HR px, odd.
        num_stage: number of stages T (MODEL.NUM_STAGES).
        md_ch: channels of a feature map.
        reduction_ch: channels in the kernel predictors; the reference's is fixed.

    Raises:
        ValueError: for a scale factor without defined projections or sizes that cannot be.
    """

    def __init__(
        self,
        scale: int = 4,
        ks: int = 7,
        kout: int = 21,
        num_stage: int = 4,
        md_ch: int = 128,
        reduction_ch: int = 32,
    ) -> None:
        super().__init__()
        check_scale_factor(scale)
        _check_at_least(1, ks=ks, kout=kout, num_stage=num_stage, reduction_ch=reduction_ch)
        _check_at_least(2, md_ch=md_ch)
        if kout % 2 == 0:
            raise ValueError(f"kout must be odd, got {kout}")
        self.scale_factor, self.kout = scale, kout
        half = md_ch // 2  # VGG-16's first four convolutions, without the pooling between
        self.feat = nn.Sequential(
            nn.Conv2d(_NUM_CHANNELS, half, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(half, md_ch, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(md_ch, md_ch, 3, padding=1),
            nn.ReLU(),
        )
        self.predictor = InitialPredictor(md_ch, ks, kout)
        self.back_projection_stages = nn.ModuleList(
            Stage(md_ch, scale, KernelPredictor(ks, kout, reduction_ch), n, last=n == num_stage)
            for n in range(1, num_stage + 1)
        )
        self.output_conv: nn.Module = _Conv(num_stage * md_ch, _NUM_CHANNELS, 3)
        self.join: Callable[[list[Tensor]], Tensor] = partial(torch.cat, dim=1)
        self.apply(_initialise)

    def forward(self, lr: Tensor, kernel: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Super-resolve images and estimate the kernels that blurred them.

        Args:
            lr: (N, 3, H, W) float RGB in [0, 1].
            kernel: (N, kout, kout), the true kernels, as in the first step of the training: no
                kernel is predicted then.

        Returns:
            The images (N, 3, H·s, W·s), not clipped to [0, 1], and the last stage's kernels
            (N, kout, kout): they sum to 1, may be negative, and blur an HR image in the sense of
            `blur`. The reference returns them in the form of `stretch_kernel`.

        Raises:
            ValueError: for batches of other shapes or types.
        """
        check_images(lr, _NUM_CHANNELS, self.feat.get_parameter("0.weight"))
        x = self.feat(lr)
        used = self.predictor(x) if kernel is None else self._given(kernel, lr)
        hr_maps: list[Tensor] = []
        lr_maps: list[Tensor] = []
        for stage in self.stages():
            hr_maps.append(stage.up(x))
            error, used = stage.kb(self.join(hr_maps), lr, used, correct=kernel is None)
            hr_maps[-1] = hr_maps[-1] + error
            if stage.down is not None and stage.sft is not None:
                lr_maps.append(stage.down(self.join(hr_maps)))
                x = stage.sft(torch.cat(lr_maps, 1), used)
        residual = self.output_conv(self.join(hr_maps))
        return self.upscaled(lr) + residual, used.view(-1, self.kout, self.kout)

    def first_kernel(self, lr: Tensor) -> Tensor:
        """The kernels (N, kout, kout) before any correction; see `forward`."""
        kernel: Tensor = self.predictor(self.feat(lr))
        return kernel.view(-1, self.kout, self.kout)

    def stages(self) -> list[Stage]:
        """The stages in their order."""
        return [stage for stage in self.back_projection_stages if isinstance(stage, Stage)]

    def upscaled(self, lr: Tensor) -> Tensor:
        """Bicubic upscaling, to which the network adds."""
        return F.interpolate(
            lr, scale_factor=float(self.scale_factor), mode="bicubic", align_corners=False
        )

    def kernel_parameters(self) -> Iterator[nn.Parameter]:
        """What the second step of the training trains; all others belong to the image."""
        yield from self.predictor.parameters()
        for stage in self.stages():
            yield from stage.kb.kernel_predictor.parameters()

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of a published checkpoint.

        With or without ``module.`` prefixes; of a checkpoint with more than the SR network
        (``sr_model.``) that network's part. Keys in this class's own names are taken as well.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        given = without_module(state_dict)
        prefix = "sr_model."
        if any(key.startswith(prefix) for key in given):
            given = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
        own_names = {_reference_name(key): key for key in self.state_dict()}
        load_reference_state_dict(self, {own_names.get(k, k): v for k, v in given.items()})

    def _given(self, kernel: Tensor, lr: Tensor) -> Tensor:
        expected = (lr.shape[0], self.kout, self.kout)
        if tuple(kernel.shape) != expected or kernel.dtype != lr.dtype:
            raise ValueError(
                f"expected kernel of shape {expected} and {lr.dtype}, "
                f"got {kernel.dtype} of shape {tuple(kernel.shape)}"
            )
        check_finite("kernel", kernel)
        return kernel.flatten(1)


def _check_at_least(least: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")


def _initialise(module: nn.Module) -> None:
    """As the reference: its VGG weights do not survive this there either."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.PReLU):
        nn.init.constant_(module.weight, 0.01)


def _reference_name(key: str) -> str:
    """The reference calls the convolution of every block ``layer``."""
    return re.sub(r"\.(conv|deconv)\.(weight|bias)$", r".layer.\2", key)
