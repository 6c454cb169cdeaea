"""Every stage runs for a few steps, and gradients reach what they should and only that."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasksr_training.blur_kernels import BlurConfig
from tasksr_training.checkpoints import load_checkpoint, load_network
from tasksr_training.coco import read_coco
from tasksr_training.datasets import (
    IGNORE,
    NO_BOX,
    PEDESTRIAN,
    Batch,
    Batches,
    PatchConfig,
    PatchSampler,
    SourceConfig,
    read_sources,
)
from tasksr_training.degradations import CorruptionConfig
from tasksr_training.detect import DetectConfig, detect_image
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.loop import LoopConfig, train
from tasksr_training.stages.detector import DetectorConfig, DetectorStage, ValidationConfig
from tasksr_training.stages.super_resolution import SuperResolution, SuperResolutionConfig
from tasksr_training.stages.task_driven import (
    TaskDriven,
    TaskDrivenConfig,
    distillation,
    feature_distance,
    random_blocks,
    still_features,
    weighted_l1,
)

from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.detectors.levels import LevelOutput

VALIDATION = ValidationConfig(("val.json",), every=2)


def loop(steps: int = 2) -> LoopConfig:
    return LoopConfig(
        max_steps=steps,
        batch_size=2,
        warmup_steps=1,
        accelerator="cpu",
        threads=1,
        log_every=1,
        checkpoint_minutes=0.0,  # after every step
    )


def sampler(data: Path, size: int = 32) -> PatchSampler:
    sources = [SourceConfig("train.json")]
    patches = PatchConfig(size=size, min_height=12, max_height=30)
    return PatchSampler(read_sources(data, sources), sources, patches)


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``sr`` and ``detector`` of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(1)
    sr = SuperResolutionConfig(validation=("images",), validation_side=32)
    train(SuperResolution(sr, data), sampler(data), loop(), folder / "sr")
    detector = DetectorConfig(width=0.25, validation=VALIDATION)
    train(DetectorStage(detector, data), sampler(data), loop(), folder / "detector")
    return folder


def task_driven(data: Path, runs: Path, out: Path, steps: int = 2, **changes: Any) -> set[str]:
    """Train and return which of ``sr`` and ``detector`` changed."""
    config = TaskDrivenConfig(
        sr_checkpoint=str(runs / "sr"),
        detector_checkpoint=str(runs / "detector"),
        validation=VALIDATION,
        **changes,
    )
    stage = TaskDriven(config, data)
    before = {k: v.clone() for k, v in stage.module.state_dict().items()}
    train(stage, sampler(data), loop(steps), out)
    after = load_checkpoint(out)["model"]
    return {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}


def test_first_stages_log_their_figures(runs: Path) -> None:
    assert "val/psnr_y/images" in (runs / "sr" / "log.jsonl").read_text()
    assert "val/ap30/val.json" in (runs / "detector" / "log.jsonl").read_text()


ALTERNATE = {"detection_to_sr": 0.0, "feature_weight": 1.0, "features_of": "current"}
HYBRID = {
    "pedestrian_weight": 2.0,
    "feature_weight": 1.0,
    "distill_weight": 1.0,
    "mixed_fraction": 0.5,
}


@pytest.mark.parametrize(
    ("changes", "learns"),
    [
        ({"frozen_fraction": 0.0}, {"sr", "detector"}),
        ({"train": "detector"}, {"detector"}),
        ({"train": "sr"}, {"sr"}),
        ({"upscaling": "bicubic"}, {"detector"}),
        ({"frozen_fraction": 1.0}, {"detector"}),
        ({"frozen_fraction": 0.5}, {"sr", "detector"}),
        ({"frozen_fraction": 0.0, **ALTERNATE}, {"sr", "detector"}),
        ({"frozen_fraction": 0.0, **HYBRID}, {"sr", "detector"}),
    ],
)
def test_only_what_should_learn_learns(
    data: Path, runs: Path, tmp_path: Path, changes: dict[str, Any], learns: set[str]
) -> None:
    assert task_driven(data, runs, tmp_path, **changes) == learns


def test_the_detector_loss_leaves_the_sr_network_untouched_where_the_recipe_says_so(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    recipe = {**ALTERNATE, "features_of": "hr", "frozen_fraction": 0.0}
    for beta in (1.0, 100.0):  # the greater one's gradient is clipped
        task_driven(data, runs, tmp_path / str(beta), steps=4, beta=beta, **recipe)
    one, other = (load_checkpoint(tmp_path / name)["model"] for name in ("1.0", "100.0"))
    differ = {k.split(".")[0] for k in one if not torch.equal(one[k], other[k])}
    assert differ == {"detector"}


@pytest.mark.parametrize("stop", [1, 3])  # before and after super-resolution begins to learn
@pytest.mark.parametrize("recipe", [{}, ALTERNATE, HYBRID])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    data: Path,
    runs: Path,
    tmp_path: Path,
    stopped_at: Callable[[int], AbstractContextManager[None]],
    recipe: dict[str, Any],
    stop: int,
) -> None:
    options = {"steps": 5, "frozen_fraction": 0.4, **recipe}
    task_driven(data, runs, tmp_path / "whole", **options)
    with stopped_at(stop):
        task_driven(data, runs, tmp_path / "parts", **options)
    task_driven(data, runs, tmp_path / "parts", **options)
    whole, parts = (load_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert parts["step"] == whole["step"] == 5
    for key in ("model", "ema"):
        assert all(torch.equal(whole[key][k], parts[key][k]) for k in whole[key])


def test_a_resumed_super_resolution_run_equals_an_uninterrupted_one_bit_for_bit(
    data: Path, tmp_path: Path, stopped_at: Callable[[int], AbstractContextManager[None]]
) -> None:
    config = SuperResolutionConfig(
        blur=BlurConfig(kernel_size=5, length=(1, 4), radius=(0.5, 2), turn_weight=0),
        corruption=CorruptionConfig(probability=0.5),
        validation=("images",),
        validation_side=32,
    )

    def trained(out: str, seed: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        train(SuperResolution(config, data), sampler(data), loop(5), tmp_path / out)
        return load_checkpoint(tmp_path / out)

    with stopped_at(3):
        trained("parts", seed=1)
    whole, parts = trained("whole", seed=1), trained("parts", seed=2)
    assert parts["step"] == whole["step"] == 5
    for key in ("model", "ema"):
        assert all(torch.equal(whole[key][k], parts[key][k]) for k in whole[key])


def gradients(data: Path, runs: Path, **changes: Any) -> dict[str, float]:
    config = TaskDrivenConfig(
        sr_checkpoint=str(runs / "sr"),
        detector_checkpoint=str(runs / "detector"),
        validation=VALIDATION,
        frozen_fraction=0.0,
        corruption=CorruptionConfig(probability=0.0),
        **changes,
    )
    stage = TaskDriven(config, data)
    batch = Batches(sampler(data), 2, seed=3)[0]
    stage.loss(stage.module, batch, 0.0)["total"].backward()
    return {
        part: sum(
            float(p.grad.abs().sum())
            for p in stage.module.get_submodule(part).parameters()
            if p.grad is not None
        )
        for part in ("sr", "detector")
    }


def test_each_weight_scales_its_own_gradient(data: Path, runs: Path) -> None:
    image_only = gradients(data, runs, alpha=1.0, beta=0.0)
    assert image_only["sr"] > 0
    assert image_only["detector"] == 0
    assert gradients(data, runs, alpha=3.0, beta=0.0)["sr"] == pytest.approx(
        3 * image_only["sr"], rel=1e-4
    )
    task_only = gradients(data, runs, alpha=0.0, beta=1.0)
    assert task_only["sr"] > 0
    assert task_only["detector"] > 0
    assert gradients(data, runs, alpha=0.0, beta=2.0)["sr"] == pytest.approx(
        2 * task_only["sr"], rel=1e-3
    )


def test_no_detection_loss_reaches_the_sr_network_where_the_recipe_says_so(
    data: Path, runs: Path
) -> None:
    nothing = {"alpha": 0.0, "detection_to_sr": 0.0, "distill_weight": 1.0, "mixed_fraction": 0.5}
    found = gradients(data, runs, **nothing)
    assert found["sr"] == 0 and found["detector"] > 0
    half, whole = (
        gradients(data, runs, alpha=0.0, detection_to_sr=factor)["sr"] for factor in (0.5, 1.0)
    )
    assert half == pytest.approx(whole / 2, rel=1e-3)


def test_distillation_reaches_the_sr_network_in_the_hybrid_recipe(data: Path, runs: Path) -> None:
    alone = {**HYBRID, "alpha": 0.0, "beta": 0.0, "feature_weight": 0.0, "detection_to_sr": 1.0}
    once = gradients(data, runs, **alone)
    twice = gradients(data, runs, **{**alone, "distill_weight": 2.0})
    for network in ("sr", "detector"):
        assert once[network] > 0
        assert twice[network] == pytest.approx(2 * once[network], rel=1e-3)


@pytest.mark.parametrize(
    ("batch_size", "seen"), [(1, 1 + 1 + 1), (2, 2 + 1 + 1), (8, 8 + 2 + 4), (10, 10 + 2 + 5)]
)
def test_hr_and_mixed_patches_beside_those_of_a_batch(
    data: Path, runs: Path, batch_size: int, seen: int
) -> None:
    def images(**changes: Any) -> int:
        config = TaskDrivenConfig(
            sr_checkpoint=str(runs / "sr"),
            detector_checkpoint=str(runs / "detector"),
            validation=VALIDATION,
            **changes,
        )
        stage, sizes = TaskDriven(config, data), []
        detector = stage.module.get_submodule("detector")
        detector.get_submodule("stem").register_forward_hook(
            lambda *given: sizes.append(len(given[1][0]))
        )
        stage.loss(stage.module, Batches(sampler(data), batch_size, seed=3)[0], 0.0)
        return sizes[0]

    assert images(hr_fraction=0.25, mixed_fraction=0.5) == seen
    assert images(hr_fraction=0.0) == batch_size


@pytest.mark.parametrize("features_of", ["hr", "current"])
def test_the_feature_loss_reaches_the_sr_network_alone(
    data: Path, runs: Path, features_of: str
) -> None:
    only = {"alpha": 0.0, "beta": 0.0, "feature_weight": 1.0, "features_of": features_of}
    found = gradients(data, runs, **only)
    assert found["sr"] > 0 and found["detector"] == 0


def test_feature_distance_leaves_the_detector_as_it_was() -> None:
    torch.manual_seed(1)
    detector = Detector(0.25).train()
    next(detector.parameters()).requires_grad_(False)
    before = {k: v.clone() for k, v in detector.state_dict().items()}
    learns = [p.requires_grad for p in detector.parameters()]
    sr, hr = torch.rand(2, 3, 32, 32, requires_grad=True), torch.rand(2, 3, 32, 32)
    wanted = still_features(detector, hr)
    distance = feature_distance(detector, sr, wanted)
    distance.backward()
    assert float(distance.detach()) > 0 and float(sr.grad.abs().sum()) > 0
    assert float(feature_distance(detector, hr, wanted)) == 0
    assert detector.training and [p.requires_grad for p in detector.parameters()] == learns
    assert all(torch.equal(before[k], v) for k, v in detector.state_dict().items())
    assert all(p.grad is None for p in detector.parameters())


def test_weighted_l1_by_hand() -> None:
    hr, sr = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    sr[0, :, 1, 1] = 0.6  # inside the pedestrian
    sr[0, :, 3, 3] = 0.2  # outside
    boxes = torch.tensor([[[1.0, 1.0, 3.0, 3.0], [3.0, 3.0, 4.0, 4.0]]])
    batch = Batch(hr, boxes, torch.tensor([[PEDESTRIAN, IGNORE]]), 0)
    assert weighted_l1(sr, batch, 0.0) == pytest.approx(0.8 / 16)
    assert weighted_l1(sr, batch, 2.0) == pytest.approx((3 * 0.6 + 0.2) / (16 + 2 * 4))


def test_an_enlarged_patch_has_no_distance_to_hr() -> None:
    sr, hr = torch.full((2, 3, 4, 4), 0.5), torch.zeros(2, 3, 4, 4)
    nobody = torch.zeros(2, 1, 4), torch.full((2, 1), NO_BOX)
    batch = Batch(hr, *nobody, 0, scale=torch.tensor([1.0, 1.9]))
    assert weighted_l1(sr, batch, 0.0) == pytest.approx(0.5)
    assert weighted_l1(sr, batch, 0.0, 1.0) == pytest.approx(0.25)
    assert weighted_l1(sr, batch, 1.0, 1.0) == pytest.approx(0.25)


def test_distillation_by_hand() -> None:
    def level(*logits: float) -> LevelOutput:
        return LevelOutput(4, torch.tensor(logits).view(1, 1, 1, -1), torch.ones(1, 4, 1, 2))

    zero = math.log(3)  # sigmoid(log 3) = .75
    assert distillation([level(0.0, zero)], [level(zero, zero)], 1) == pytest.approx(
        0.25**2 * math.log(2)
    )


def test_random_blocks() -> None:
    images = torch.zeros(4, 3, 20, 36)
    mask = random_blocks(images, seed=1)
    assert mask.shape == (4, 1, 20, 36) and mask.dtype == torch.bool
    assert torch.equal(mask, random_blocks(images, seed=1))
    assert not torch.equal(mask, random_blocks(images, seed=2))
    assert torch.equal(mask[..., :8, :8], mask[..., :1, :1].expand(4, 1, 8, 8))
    assert 0.2 < float(mask.float().mean()) < 0.8


def test_a_detector_is_retrained_on_lr_images(data: Path, runs: Path, tmp_path: Path) -> None:
    config = TaskDrivenConfig(
        detector_checkpoint=str(runs / "detector"),
        upscaling="none",
        hr_fraction=0.5,
        validation=VALIDATION,
    )
    stage = TaskDriven(config, data)
    with pytest.raises(TrainingError, match=r"multiple of 128 px .* got 32"):
        train(stage, sampler(data), loop(), tmp_path / "small")
    train(stage, sampler(data, 128), loop(), tmp_path)
    figures = (tmp_path / "log.jsonl").read_text().splitlines()[-1]
    assert "val/ap50/val.json" in figures and "psnr" not in figures


def test_at_scale_factor_1_the_detector_learns_from_the_hr_image(data: Path, runs: Path) -> None:
    config = TaskDrivenConfig(
        detector_checkpoint=str(runs / "detector"),
        upscaling="none",
        scale_factor=1,
        corruption=CorruptionConfig(probability=0),
        validation=VALIDATION,
    )
    stage = TaskDriven(config, data)
    rng, patches = np.random.default_rng(0), sampler(data)
    batch = patches.collate([patches.draw(rng) for _ in range(2)], rng)
    seen = []
    stage.module.get_submodule("sr").register_forward_hook(lambda *given: seen.append(given[2]))
    stage.loss(stage.module, batch, 0.0)
    assert torch.allclose(seen[0], batch.hr, atol=0.51 / 255)  # rounded to 8 bits


def test_a_baseline_without_upscaling_detects_in_hr_pixels(data: Path, runs: Path) -> None:
    class Fixed(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            self.seen = images.shape
            boxes, scores = torch.tensor([[[1.0, 2.0, 5.0, 9.0]]]), torch.tensor([[0.9]])
            return boxes, scores, torch.zeros(1, 1, dtype=torch.int32)

    image = read_coco(data / "val.json")[0]  # 160x128 px
    fixed = Fixed()
    result = detect_image(image, torch.nn.Identity(), fixed, 4, DetectConfig())
    assert fixed.seen == (1, 3, 32, 64)  # 40x32 LR px, filled up to multiples of 32
    assert result.detections.xyxy.tolist() == [[4.0, 8.0, 20.0, 36.0]]
    assert result.seen.shape == (128, 160, 3) and math.isnan(result.psnr_y)


def test_a_widened_detector_is_what_the_checkpoint_holds(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    task_driven(data, runs, tmp_path, upscaling="bicubic", detector_width=0.5)
    detector, description = load_network(tmp_path, "detector")
    assert description == {"width": 0.5}
    assert isinstance(detector, Detector) and detector.width == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sr_checkpoint": ""}, "expected stage.sr_checkpoint"),
        ({"detector_checkpoint": ""}, "expected stage.detector_checkpoint"),
        ({"scale_factor": 2}, "expected scale factor 2, got 4"),
        ({"scale_factor": 3}, r"expected one of \(2, 4, 8\).*, got 3 with upscaling sr"),
        ({"scale_factor": 1, "upscaling": "bicubic"}, "got 1 with upscaling bicubic"),
        ({"train": "sr", "upscaling": "bicubic"}, "expected upscaling sr, got bicubic"),
        ({"distill_weight": 1.0, "upscaling": "none"}, "expected 0 for a detector on LR images"),
    ],
)
def test_refusals(data: Path, runs: Path, changes: dict[str, Any], message: str) -> None:
    checkpoints = {name: str(runs / name) for name in ("sr", "detector")}
    options = {f"{name}_checkpoint": path for name, path in checkpoints.items()} | changes
    with pytest.raises((CheckpointError, TrainingError), match=message):
        TaskDriven(TaskDrivenConfig(**options), data)


@pytest.mark.parametrize(
    ("changes", "size", "multiple"),
    [({}, 48, "32 px for a detector on upscaled"), ({"upscaling": "none"}, 64, "128 px")],
)
def test_patches_that_the_detector_cannot_take_are_refused(
    data: Path, runs: Path, changes: dict[str, Any], size: int, multiple: str
) -> None:
    config = TaskDrivenConfig(
        sr_checkpoint=str(runs / "sr"),
        detector_checkpoint=str(runs / "detector"),
        validation=VALIDATION,
        **changes,
    )
    stage = TaskDriven(config, data)
    batch = Batches(sampler(data, size=size), 2, seed=1)[0]
    with pytest.raises(TrainingError, match=f"multiple of {multiple}.*got {size}"):
        stage.loss(stage.module, batch, 0.0)


def test_patches_that_the_first_stages_cannot_take_are_refused(data: Path) -> None:
    stages = {
        48: DetectorStage(DetectorConfig(width=0.25, validation=VALIDATION), data),
        30: SuperResolution(SuperResolutionConfig(validation=()), data),
    }
    for size, stage in stages.items():
        batch = Batches(sampler(data, size=size), 2, seed=1)[0]
        with pytest.raises(TrainingError, match=f"patches.size: expected .* got {size}"):
            stage.loss(stage.module, batch, 0.0)


@pytest.mark.parametrize("scale_factor", [2, 8])
def test_other_scale_factors_than_4(
    data: Path, tmp_path: Path, runs: Path, scale_factor: int
) -> None:
    torch.manual_seed(1)
    sr = SuperResolutionConfig(
        scale_factor=scale_factor, validation=("images",), validation_side=32
    )
    train(SuperResolution(sr, data), sampler(data), loop(), tmp_path / "sr")
    config = TaskDrivenConfig(
        sr_checkpoint=str(tmp_path / "sr"),
        detector_checkpoint=str(runs / "detector"),
        scale_factor=scale_factor,
        frozen_fraction=0.0,
        validation=VALIDATION,
        **HYBRID,
    )
    train(TaskDriven(config, data), sampler(data), loop(), tmp_path / "tdsr")
    network, description = load_network(tmp_path / "tdsr", "sr")
    assert description["scale_factor"] == scale_factor
    assert network(torch.zeros(1, 3, 8, 8)).shape[-1] == 8 * scale_factor
    assert "val/psnr_y/val.json" in (tmp_path / "tdsr" / "log.jsonl").read_text()
