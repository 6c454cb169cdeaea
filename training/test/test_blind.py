"""The blind stage: kernels as the network sees them, and what learns in which step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tasksr_training.blur_kernels import BlurConfig, MotionBlur, draw_kernels, kernels_of
from tasksr_training.checkpoints import load_checkpoint, load_network
from tasksr_training.datasets import Batch, PatchConfig, PatchSampler, SourceConfig, read_sources
from tasksr_training.degradations import degrade
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig, train
from tasksr_training.stages.blind import (
    BlindSuperResolution,
    blind_losses,
    choose_parameters,
    initialise,
    kernel_losses,
    step_of,
    stretching,
    whole_kernels,
)
from tasksr_training.stages.super_resolution import (
    BlindConfig,
    SuperResolutionConfig,
    low_resolution,
)

from tasksr_ros.blur import Blur, blur_of, second_moments
from tasksr_ros.bundle import load_any_bundle
from tasksr_ros.networks.super_resolution.kbpn import KBPN, blur
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

CONFIG = SuperResolutionConfig(
    network="kbpn-small",
    options={"md_ch": 4, "kout": 7, "ks": 3, "reduction_ch": 4},
    scale_factor=2,
    blur=BlurConfig(kernel_size=5, length=(1, 4), radius=(0.5, 2), turn_weight=0),
    validation=("images",),
    validation_side=32,
)


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_whole_kernels_do_what_the_degradation_does(scale_factor: int) -> None:
    torch.manual_seed(scale_factor)
    hr = torch.rand(2, 3, 24 * scale_factor, 20 * scale_factor)
    kernels = draw_kernels(BlurConfig(), 2, seed=scale_factor)[0]
    expected = degrade(hr, kernels, scale_factor)
    wide = whole_kernels(kernels, scale_factor, 6 * scale_factor + 11)
    got = blur(hr, wide, scale_factor)
    inner = (..., slice(8, -8), slice(8, -8))
    assert (got[inner] - expected[inner]).abs().max() < 0.51 / 255  # rounding to 8 bits


def test_whole_kernels_are_cut_to_their_size() -> None:
    kernels = draw_kernels(BlurConfig(), 3, seed=1)[0]
    cut, wide = (whole_kernels(kernels, 4, size) for size in (13, 41))
    inner = wide[:, 14:-14, 14:-14]
    assert cut.shape == (3, 13, 13)
    torch.testing.assert_close(cut, inner / inner.sum((1, 2), keepdim=True))


def test_steps_by_hand() -> None:
    config = BlindConfig(sr_fraction=0.4, kernel_fraction=0.2)
    assert [step_of(p, config) for p in (0, 0.39, 0.41, 0.59, 0.61, 1)] == [
        "sr", "sr", "kernel", "kernel", "joint", "joint",
    ]  # fmt: skip


def test_the_first_step_comes_before_the_others() -> None:
    config = BlindConfig(first_fraction=0.5, sr_fraction=0.2, kernel_fraction=0.1)
    assert [step_of(p, config) for p in (0, 0.49, 0.51, 0.69, 0.71, 0.79, 0.81, 1)] == [
        "first", "first", "sr", "sr", "kernel", "kernel", "joint", "joint",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("angle", "direction"), [(0, (1, 0)), (90, (-1, 0)), (45, (0, 1)), (135, (0, -1))]
)
def test_stretching_is_what_blur_makes_length_and_angle_of(
    angle: float, direction: tuple[float, float]
) -> None:
    kernels = kernels_of([MotionBlur(9, angle), MotionBlur(0, angle)], 15)
    along, still = stretching(kernels)
    moments = second_moments(kernels.numpy())[0]
    assert blur_of(moments).length == pytest.approx(9, abs=0.15)
    torch.testing.assert_close(along, torch.tensor(direction) * (9 / 15) ** 2, atol=0.01, rtol=0)
    torch.testing.assert_close(still, torch.zeros(2))


def test_kernel_losses_by_hand() -> None:
    """A row of 3 px against a column: 4 px differ, by 1/3, and xx - yy by 2 · 2/3 px²."""
    row, column = torch.zeros(1, 3, 3), torch.zeros(1, 3, 3)
    row[0, 1], column[0, :, 1] = 1 / 3, 1 / 3
    losses = kernel_losses(row, column, BlindConfig(kernel_weight=2, motion_weight=3))
    assert losses["first"] == pytest.approx(4 / 9)
    stretched = (2 * (2 / 3) * 12 / 9) ** 2
    assert losses["total"] == pytest.approx(2 * 4 / 9 + 3 * stretched)


def test_losses_by_hand() -> None:
    hr, sr = torch.zeros(1, 3, 32, 32), torch.full((1, 3, 32, 32), 0.25)
    lr = torch.full((1, 3, 16, 16), 0.75)
    true, kernel = torch.zeros(1, 3, 3), torch.zeros(1, 3, 3)
    true[0, 1, 1], kernel[0, 1, 2] = 1, 1
    config = BlindConfig(hr_weight=2, lr_weight=3, kernel_weight=5, motion_weight=0)
    losses = blind_losses("joint", sr, kernel, lr, hr, true, config)
    assert losses["hr"] == pytest.approx(0.25)
    assert losses["lr"] == pytest.approx(0.5)
    assert losses["kernel"] == pytest.approx(2)
    assert losses["total"] == pytest.approx(2 * 0.25 + 3 * 0.5 + 5 * 2)
    totals = [
        float(blind_losses(step, sr, kernel, lr, hr, true, config)["total"])
        for step in ("sr", "kernel")
    ]
    assert totals == pytest.approx([2.0, 10.0])


def test_what_learns_in_each_step() -> None:
    sr = KBPN(2, ks=3, kout=5, num_stage=2, md_ch=4, reduction_ch=4)
    of_kernel = {id(p) for p in sr.kernel_parameters()}
    first = {id(p) for p in sr.predictor.parameters()}
    learns = {}
    for step in ("joint", "first", "sr", "kernel"):
        choose_parameters(sr, step)
        learns[step] = {id(p) for p in sr.parameters() if p.requires_grad}
    everything = {id(p) for p in sr.parameters()}
    assert learns["first"] == first | {id(p) for p in sr.feat.parameters()}
    assert learns["kernel"] == of_kernel
    assert learns["sr"] == everything - of_kernel | first
    assert learns["joint"] == everything


def test_a_network_begins_with_its_first_kernel_and_the_bicubic_image() -> None:
    torch.manual_seed(0)
    sr = KBPN(2, ks=3, kout=5, num_stage=2, md_ch=4, reduction_ch=4)
    initialise(sr)
    lr = torch.rand(2, 3, 12, 16)
    with torch.no_grad():
        image, kernel = sr(lr)
        torch.testing.assert_close(kernel, sr.first_kernel(lr))
        torch.testing.assert_close(image, sr.upscaled(lr))
        brighter = sr.feat(lr + 0.3)[..., 4:-4, 4:-4]
        torch.testing.assert_close(brighter, sr.feat(lr)[..., 4:-4, 4:-4], atol=1e-4, rtol=1e-3)


class SameBatch:
    """Four patches of dots, at every step; the stage blurs them by the batch's seed."""

    def draw(self, rng: np.random.Generator) -> None:
        del rng

    def collate(self, samples: object, rng: np.random.Generator) -> Batch:
        del samples, rng
        noise = torch.rand(4, 1, 48, 48, generator=torch.Generator().manual_seed(0))
        dots = torch.nn.functional.avg_pool2d(noise, 3, 1, 1).round()
        nothing = torch.zeros(4, 0)
        return Batch(dots.expand(-1, 3, -1, -1), nothing[..., None], nothing, seed=7)


def test_the_kernels_of_a_few_patches_can_be_learnt(tmp_path: Path) -> None:
    """Known motions: lengths and angles follow the truth, and corrections do not undo it."""
    torch.manual_seed(0)
    config = replace(
        CONFIG,
        options={"md_ch": 16, "kout": 13, "ks": 5, "reduction_ch": 8},
        blur=BlurConfig(11, 0, 0, 1, 0, 0, 0, length=(1, 10)),
        blind=BlindConfig(first_fraction=0.9, sr_fraction=0, kernel_fraction=0.1),
        validation=(),
    )
    stage = BlindSuperResolution(config, tmp_path)
    loop = LoopConfig(
        max_steps=100, batch_size=4, learning_rate=2e-3, final_fraction=1, warmup_steps=1,
        ema_decay=0.5, accelerator="cpu", threads=1,
    )  # fmt: skip
    train(stage, SameBatch(), loop, tmp_path)

    lr, kernels = low_resolution(SameBatch().collate([], np.random.default_rng()), config)
    assert kernels is not None
    with torch.no_grad():
        used = load_network(tmp_path, "sr")[0](lr)[1]
    found, true = ([blur_of(m) for m in second_moments(k.numpy())] for k in (used, kernels))
    lengths, true_lengths = ([blur.length for blur in blurs] for blurs in (found, true))
    off = [abs((f.angle - t.angle + 90) % 180 - 90) for f, t in zip(found, true, strict=True)]
    assert np.corrcoef(lengths, true_lengths)[0, 1] > 0.9
    assert np.ptp(lengths) > np.ptp(true_lengths) / 2
    assert max(o for o, length in zip(off, true_lengths, strict=True) if length > 3) < 20


def test_three_steps_change_what_they_should(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    stage = BlindSuperResolution(CONFIG, data)
    sources = [SourceConfig("train.json")]
    patches = PatchConfig(size=32, min_height=12, max_height=30)
    sampler = PatchSampler(read_sources(data, sources), sources, patches)
    seen = []
    update = stage.loss

    def loss(module: torch.nn.Module, batch: object, progress: float) -> dict[str, torch.Tensor]:
        seen.append({k: v.clone() for k, v in stage.module.state_dict().items()})
        return update(module, batch, progress)  # type: ignore[arg-type]

    stage.loss = loss  # type: ignore[method-assign]
    loop = LoopConfig(max_steps=5, batch_size=2, warmup_steps=1, accelerator="cpu", threads=1)
    train(stage, sampler, loop, tmp_path)
    seen.append(stage.module.state_dict())

    def is_kernel(name: str) -> bool:
        return "predictor" in name

    def changed(before: int) -> set[bool]:
        return {
            is_kernel(k)
            for k in seen[before]
            if not torch.equal(seen[before][k], seen[before + 1][k])
        }

    assert changed(0) == changed(1) == {False, True}  # the image from the true kernel; the first
    assert changed(2) == {True}
    assert changed(4) == {True, False}
    figures = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"val/psnr_y/images", "val/kernel_error/images"} <= figures.keys()


def test_a_resumed_run_equals_an_uninterrupted_one(data: Path, tmp_path: Path) -> None:
    sources = [SourceConfig("train.json")]
    patches = PatchConfig(size=32, min_height=12, max_height=30)
    sampler = PatchSampler(read_sources(data, sources), sources, patches)

    def run(out: str, stop_at: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        stage = BlindSuperResolution(CONFIG, data)
        update, calls = stage.loss, 0

        def loss(*arguments: object) -> dict[str, torch.Tensor]:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KeyboardInterrupt
            return update(*arguments)  # type: ignore[arg-type]

        stage.loss = loss  # type: ignore[method-assign]
        loop = LoopConfig(
            max_steps=5, batch_size=2, warmup_steps=1, accelerator="cpu", threads=1,
            checkpoint_minutes=0,
        )  # fmt: skip
        train(stage, sampler, loop, tmp_path / out)
        return load_checkpoint(tmp_path / out)["model"]

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("parts", stop_at=4)
    assert load_checkpoint(tmp_path / "parts")["step"] == 3
    parts = run("parts")
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_blurs_that_the_network_cannot_see_are_refused(data: Path) -> None:
    large = SuperResolutionConfig(network="kbpn-small", blur=BlurConfig(kernel_size=15))
    with pytest.raises(TrainingError, match="at most 13"):
        BlindSuperResolution(large, data)
    with pytest.raises(TrainingError, match=r"expected stage\.blur"):
        BlindSuperResolution(SuperResolutionConfig(network="kbpn-small"), data)


REPOSITORY = Path(__file__).resolve().parents[2]


def blur_told(network: KBPN, kernel: np.ndarray) -> Blur:
    """What the network says of a generated street that was blurred and reduced by 2."""
    frame, _ = GeneratedDrive(DriveConfig(num_frames=1, seed=7)).frame(0)
    picture = frame.image[232:488, 448:832, ::-1]
    blurred = cv2.filter2D(picture, -1, kernel / kernel.sum())
    lr = cv2.resize(blurred, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        _, kernels = network(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()).float() / 255)
    return blur_of(second_moments(kernels.numpy())[0])


def test_the_trained_kernel_follows_the_motion() -> None:
    network = load_any_bundle(REPOSITORY / "training/study_models/kbpn-small-x2").load_sr()
    assert isinstance(network, KBPN)
    along = [blur_told(network, np.ones((1, n), np.float32)) for n in (1, 5, 11, 17)]
    lengths = [blur.length for blur in along]
    assert lengths == sorted(lengths) and lengths[-1] > lengths[0] + 2.5
    down = blur_told(network, np.ones((11, 1), np.float32))
    assert abs((along[2].angle + 90) % 180 - 90) < 15  # from the x axis
    assert abs(down.angle - 90) < 15
