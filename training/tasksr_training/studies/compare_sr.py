"""Super-resolution networks side by side: size, cost and image quality, a table and pictures.

Each comparison has its degradation, its systems and its sets. Every difference between a system
and the one above it comes with a paired bootstrap interval over the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from tasksr_ros.blur import blur_of, second_moments
from tasksr_ros.networks.super_resolution.bicubic import Bicubic
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_ros.networks.super_resolution.rbpn import RBPN
from tasksr_training.blur_kernels import BlurConfig
from tasksr_training.checkpoints import load_network, trained_for
from tasksr_training.coco import read_set
from tasksr_training.costs import COST_HW, network_cost
from tasksr_training.detect import to_pixels
from tasksr_training.errors import TrainingError
from tasksr_training.image_quality import psnr, ssim
from tasksr_training.peers.published import load_published
from tasksr_training.peers.systems import IKCSystem, KOALAnetSystem, VideoPeer, as_system
from tasksr_training.stages.blind import whole_kernels
from tasksr_training.stages.super_resolution import (
    Sample,
    SuperResolutionConfig,
    centre_crop,
    sample,
)
from tasksr_training.stages.video import super_resolve_lr_frames

RESAMPLES = 10_000
"""Of the bootstrap."""


@dataclass(frozen=True)
class SystemConfig:
    """One row.

    Attributes:
        name: of the row.
        run: folder of a training run or a bundle, relative to ``runs``; empty: bicubic upscaling.
        published: in place of ``run``, weights of a peer as its authors published them, relative
            to ``runs``; see `tasksr_training.peers.published`.
    """

    name: str
    run: str = ""
    published: str = ""


@dataclass(frozen=True)
class QuoteConfig:
    """A figure that others published: shown beside, not compared.

    Attributes:
        system: of which it is.
        figure: as it is written there.
        protocol: what it was measured on and how.
        source: where it stands.
    """

    system: str
    figure: str
    protocol: str
    source: str


@dataclass(frozen=True)
class SetConfig:
    """One set of HR images.

    Attributes:
        path: folder or COCO JSON file, relative to the data folder.
        name: of the columns; empty: the path.
        side: of larger images the middle of at most this many px is used.
        every: every n-th image is used.
        most: at most so many images are used.
        sequence: the images follow each other; only then video networks have neighbours.
    """

    path: str
    name: str = ""
    side: int = 512
    every: int = 1
    most: int = 1000
    sequence: bool = False


@dataclass(frozen=True)
class ComparisonConfig:
    """Systems on the same LR images.

    Attributes:
        title: what is compared.
        systems: the rows; each is compared with the one above it.
        sets: the columns.
        scale_factor: 2, 4 or 8.
        blur: blurs of the HR images before they are downscaled; None: none.
        quotes: published figures.
    """

    title: str
    systems: list[SystemConfig]
    sets: list[SetConfig]
    scale_factor: int = 4
    blur: BlurConfig | None = None
    quotes: list[QuoteConfig] = field(default_factory=list)


@dataclass(frozen=True)
class Quality:
    """A system on a set, a value per image.

    Attributes:
        psnr_y: dB, the border of a scale factor's px left out.
        ssim_y: likewise.
        psnr_rgb: dB.
        kernel_error: of a blind network: squared differences between the kernel that it found
            and the true one, summed.
        no_kernel_error: the same of the kernel of an image that is not blurred at all.
        length: of the blur by that kernel, HR px, see `tasksr_ros.blur`.
        true_length: of the blur by the true kernel, likewise.
    """

    psnr_y: list[float] = field(default_factory=list)
    ssim_y: list[float] = field(default_factory=list)
    psnr_rgb: list[float] = field(default_factory=list)
    kernel_error: list[float] = field(default_factory=list)
    no_kernel_error: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    true_length: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of weights.
        gmac: 10^9 multiply-accumulates for an LR image of ``COST_HW``.
        ms: for the same, PyTorch eager, median of the timed runs.
        threads: CPU threads.
        steps: training steps; 0: not trained here.
        minutes: of training.
    """

    parameters: int
    gmac: float
    ms: float
    threads: int
    steps: int
    minutes: float


@dataclass(frozen=True, eq=False)
class Panel:
    """One image as the systems of a comparison show it.

    Attributes:
        title: what it is.
        images: (H, W, 3) uint8 RGB by caption, HR last.
        kernels: (k, k) the estimated and the true one, see `whole_kernels`; where there are.
    """

    title: str
    images: dict[str, NDArray[np.uint8]]
    kernels: dict[str, NDArray[np.float32]]


def compare(
    comparisons: Sequence[ComparisonConfig], data: Path, runs: Path
) -> tuple[dict[str, Any], list[Panel]]:
    """Measure all systems of all comparisons.

    Args:
        comparisons: what to compare.
        data: folder that the sets' paths start from.
        runs: folder that the systems' runs start from.

    Returns:
        What `tasksr_training.studies.compare_sr_report` shows: JSON values, and a panel per set.

    Raises:
        TrainingError: for a run of another scale factor, or nothing to compare.
    """
    if not comparisons:
        raise TrainingError("comparisons: expected at least one, got none")
    results, panels = [], []
    for comparison in comparisons:
        networks = {s.name: _network(s, comparison, runs) for s in comparison.systems}
        qualities: dict[str, dict[str, Quality]] = {name: {} for name in networks}
        for one in comparison.sets:
            samples = _samples(one, comparison, data)
            outputs = {}
            for name, network in networks.items():
                label = f"{comparison.title}: {name} on {one.name or one.path}"
                outputs[name] = _run(network, samples, one.sequence, label)
                qualities[name][one.name or one.path] = _quality(
                    outputs[name], samples, comparison.scale_factor
                )
            panels.append(_panel(comparison, one, samples, outputs))
        costs = {
            s.name: _cost(networks[s.name], s, comparison.scale_factor, runs)
            for s in comparison.systems
        }
        results.append(_result(comparison, costs, qualities))
    return {"cost_hw": COST_HW, "comparisons": results}, panels


def paired_interval(
    ours: Sequence[float], theirs: Sequence[float], seed: int = 0
) -> tuple[float, float, float]:
    """Mean difference and its 95 % interval by the paired percentile bootstrap over images.

    Args:
        ours: a value per image.
        theirs: the same images.
        seed: of the resampling.
    """
    difference = np.asarray(ours, float) - np.asarray(theirs, float)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.percentile(difference[drawn].mean(1), [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def _network(system: SystemConfig, comparison: ComparisonConfig, runs: Path) -> nn.Module:
    if system.published and system.run:
        raise TrainingError(f"{system.name}: expected run or published, got both")
    if system.published:
        return _published(runs / system.published, comparison.scale_factor)
    if not system.run:
        return Bicubic(comparison.scale_factor)
    network, description = load_network(runs / system.run, "sr")
    if description["scale_factor"] != comparison.scale_factor:
        raise TrainingError(
            f"{system.run}: expected scale factor {comparison.scale_factor}, "
            f"got {description['scale_factor']}"
        )
    return network


def _published(path: Path, scale_factor: int) -> nn.Module:
    system = as_system(load_published(path), scale_factor)
    if system.scale_factor != scale_factor:
        raise TrainingError(
            f"{path}: expected scale factor {scale_factor}, got {system.scale_factor}"
        )
    return system


def _samples(one: SetConfig, comparison: ComparisonConfig, data: Path) -> list[Sample]:
    config = SuperResolutionConfig(
        scale_factor=comparison.scale_factor, blur=comparison.blur, validation_side=one.side
    )
    images = read_set(data, one.path)[:: one.every][: one.most]
    return [sample(centre_crop(i.image, config), n, config) for n, i in enumerate(images)]


Output = tuple[NDArray[np.uint8], Tensor | None]

BLIND = (KBPN, IKCSystem, KOALAnetSystem)
"""They give more than the image. Only KBPN's kernel is in the form of `whole_kernels`."""


@torch.no_grad()
def _run(network: nn.Module, samples: Sequence[Sample], sequence: bool, label: str) -> list[Output]:
    """Image (H, W, 3) uint8 RGB of each sample, and the kernel (k, k) that a blind one found."""
    bar = tqdm(samples, desc=label, leave=False)
    if isinstance(network, (RBPN, VideoPeer)):
        frames = [to_pixels(s.lr) for s in samples]
        runs = [frames] if sequence else [[f] for f in frames]
        bar.total = len(frames)
        images = [image for run in runs for image in super_resolve_lr_frames(network, run)]
        return [(image, None) for image in images]
    outputs: list[Output] = []
    for one in bar:
        result = network(one.lr)
        image = result[0] if isinstance(network, BLIND) else result
        kernel = result[1][0] if isinstance(network, KBPN) else None
        outputs.append((to_pixels(image), kernel))
    return outputs


def _quality(outputs: Sequence[Output], samples: Sequence[Sample], scale_factor: int) -> Quality:
    quality, border = Quality(), scale_factor
    for (image, kernel), one in zip(outputs, samples, strict=True):
        quality.psnr_y.append(psnr(image, one.hr, border))
        quality.ssim_y.append(ssim(image, one.hr, border))
        quality.psnr_rgb.append(psnr(image, one.hr, border, "rgb"))
        if kernel is not None and one.kernel is not None:
            size = kernel.shape[-1]
            still = torch.zeros_like(one.kernel)
            still[still.shape[0] // 2, still.shape[1] // 2] = 1
            true, unblurred = whole_kernels(torch.stack([one.kernel, still]), scale_factor, size)
            quality.kernel_error.append(float((kernel - true).square().sum()))
            quality.no_kernel_error.append(float((unblurred - true).square().sum()))
            quality.length.append(_length(kernel))
            quality.true_length.append(_length(true))
    return quality


def _length(kernel: Tensor) -> float:
    """Of the blur of a kernel (k, k), px."""
    return blur_of(second_moments(kernel[None].numpy())[0]).length


@torch.inference_mode()
def _cost(network: nn.Module, system: SystemConfig, scale_factor: int, runs: Path) -> Cost:
    height, width = COST_HW
    inputs: tuple[Tensor, ...] = (torch.rand(1, 3, height, width),)
    if isinstance(network, (RBPN, VideoPeer)):
        k = network.num_frames - 1
        neighbours, flows = torch.rand(1, k, 3, height, width), torch.zeros(1, k, 2, height, width)
        inputs = (*inputs, neighbours, flows)
    cost = network_cost([network], inputs)
    steps, minutes = trained_for(runs / system.run) if system.run else (0, 0.0)
    return Cost(
        parameters=cost.parameters,
        gmac=cost.gmac,
        ms=cost.ms,
        threads=cost.threads,
        steps=steps,
        minutes=minutes,
    )


def _result(
    comparison: ComparisonConfig,
    costs: dict[str, Cost],
    qualities: dict[str, dict[str, Quality]],
) -> dict[str, Any]:
    rows, above = [], None
    published = {system.name: system.published for system in comparison.systems}
    for name, by_set in qualities.items():
        differences = {
            set_name: paired_interval(quality.psnr_y, qualities[above][set_name].psnr_y)
            for set_name, quality in by_set.items()
            if above is not None
        }
        rows.append(
            {
                "name": name,
                "published": published[name],
                "cost": asdict(costs[name]),
                "mean": {s: _means(q) for s, q in by_set.items()},
                "psnr_y_gain_on_row_above": differences,
                "per_image": {s: asdict(q) for s, q in by_set.items()},
            }
        )
        above = name
    return {
        "title": comparison.title,
        "scale_factor": comparison.scale_factor,
        "blur": None if comparison.blur is None else asdict(comparison.blur),
        "sets": [asdict(s) for s in comparison.sets],
        "rows": rows,
        "quotes": [asdict(quote) for quote in comparison.quotes],
    }


def _means(quality: Quality) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in asdict(quality).items() if values}


def _panel(
    comparison: ComparisonConfig,
    one: SetConfig,
    samples: Sequence[Sample],
    outputs: dict[str, list[Output]],
) -> Panel:
    """The image on which the last system's gain on the first is the median."""
    first, last = comparison.systems[0].name, comparison.systems[-1].name
    s = comparison.scale_factor
    gains = [
        psnr(a[0], t.hr, s) - psnr(b[0], t.hr, s)
        for a, b, t in zip(outputs[last], outputs[first], samples, strict=True)
    ]
    index = int(np.argsort(gains)[len(gains) // 2])
    hr = samples[index].hr
    images = {
        f"{name}, {psnr(output[index][0], hr, s):.2f} dB": output[index][0]
        for name, output in outputs.items()
    }
    kernels = _kernels([output[index][1] for output in outputs.values()], samples[index], s)
    title = f"{comparison.title}: {one.name or one.path}, image {index + 1} of {len(samples)}"
    return Panel(title, {**images, "HR": hr}, kernels)


def _kernels(
    found: Sequence[Tensor | None], one: Sample, scale_factor: int
) -> dict[str, NDArray[np.float32]]:
    """The kernel that a blind network found, and the true one in the same form."""
    estimated = next((k for k in found if k is not None), None)
    if estimated is None or one.kernel is None:
        return {}
    true = whole_kernels(one.kernel[None], scale_factor, estimated.shape[-1])[0]
    return {"estimated": estimated.numpy(), "true": true.numpy()}
