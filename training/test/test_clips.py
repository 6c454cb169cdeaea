"""Clips for video networks, and the stage that learns from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tasksr_training.clips import ClipConfig, ClipSampler, moved, real_runs, with_neighbours
from tasksr_training.coco import LabelledImage, read_folder
from tasksr_training.datasets import PatchConfig, SourceConfig, read_sources
from tasksr_training.degradations import CorruptionConfig, corrupt, corrupt_frames, downscale
from tasksr_training.detect import to_pixels, to_tensor
from tasksr_training.loop import LoopConfig, train
from tasksr_training.stages.super_resolution import SuperResolutionConfig
from tasksr_training.stages.video import VideoSuperResolution, super_resolve_frames

PATCHES = PatchConfig(size=32, min_height=30, max_height=60, jitter=0)


def textured(height: int, width: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(128, 90, (height, width, 3))
    return cv2.GaussianBlur(noise, (0, 0), 2.5).clip(0, 255).astype(np.uint8)


def frame(number: int, sequence: str = "a", seed: int = 1) -> LabelledImage:
    """Frames of a camera that moves 2 px to the right per frame number."""
    wide = textured(96, 240, seed)
    image = np.ascontiguousarray(wide[:, 2 * number : 2 * number + 120])
    return LabelledImage(
        image, np.zeros((0, 4), np.float32), np.zeros(0, bool), number, "", sequence, number
    )


def sampler(images: list[LabelledImage], offsets: tuple[int, ...], **changes: float) -> ClipSampler:
    source = SourceConfig("", min_scale=1.0, max_scale=1.0)
    config = ClipConfig(margin=8, **changes)  # type: ignore[arg-type]
    return ClipSampler([images], [source], PATCHES, config, offsets, 2)


def test_runs_end_at_gaps_and_at_other_drives() -> None:
    numbers = [0, 1, 2, 3, 9, 10, 11, 12, 13]
    images = [frame(n % 8) for n in numbers]
    images = [
        LabelledImage(i.image, i.boxes, i.ignore, n, "", "a" if n < 13 else "b", n)
        for i, n in zip(images, numbers, strict=True)
    ]
    runs = real_runs(images[::-1], max_frame_step=1, num_frames=4)
    assert [[i.frame for i in run] for run in runs] == [[0, 1, 2, 3], [9, 10, 11, 12]]
    assert real_runs(images, max_frame_step=0, num_frames=4) == []
    assert [len(run) for run in real_runs(images, max_frame_step=6, num_frames=4)] == [8]


def test_a_moved_camera_sees_the_scene_move() -> None:
    image = textured(100, 120)
    middle = moved(image, 40, (0.0, 0.0), 0.0, 1.0)
    assert np.array_equal(middle, image[30:70, 40:80])
    assert np.array_equal(moved(image, 40, (3.0, -2.0), 0.0, 1.0), image[28:68, 43:83])
    turned = moved(image, 41, (0.0, 0.0), np.pi / 2, 1.0)
    square = moved(image, 41, (0.0, 0.0), 0.0, 1.0)
    assert np.abs(turned.astype(int) - np.rot90(square, 1).astype(int)).max() <= 1
    zoomed = moved(image, 41, (0.0, 0.0), 0.0, 2.0)
    assert np.array_equal(zoomed[0::2, 0::2][:20, :20], square[10:30, 10:30])


@pytest.mark.parametrize("offsets", [(-2, -1, 1), (-3, -2, -1, 1, 2, 3), (-1, -2, -3)])
def test_flow_points_to_where_the_scene_went(offsets: tuple[int, ...]) -> None:
    clips = sampler([frame(n) for n in range(20)], offsets, real_fraction=1.0)
    for seed in range(4):
        clip = clips.draw(np.random.default_rng(seed))
        lr = downscale(to_tensor(clip.target.image), 2)
        assert clip.lr.shape == (16, 16, 3) and clip.target.image.shape == (32, 32, 3)
        inner = (slice(2, -2), slice(2, -2))  # at the edges the margin plays a part
        assert np.abs(to_pixels(lr)[inner].astype(int) - clip.lr[inner]).max() <= 2
        shift = np.median(clip.flows[:, 0], axis=(1, 2))
        there = np.abs(clip.flows).max((1, 2, 3)) > 0  # at the ends of the run frames are missing
        sign = np.sign(shift @ np.array(offsets))  # the image may be turned round
        assert there.sum() >= len(offsets) / 2
        assert np.abs(shift - sign * np.array(offsets) * there).max() < 0.3
        assert np.abs(np.median(clip.flows[:, 1], axis=(1, 2))).max() < 0.2


def walker(number: int) -> LabelledImage:
    """A person of 10x24 px at x = 40 + 4 per frame, before a camera that stands still."""
    image = textured(96, 120) // 2
    x = 40 + 4 * number
    image[40:64, x : x + 10] = 250
    boxes = np.array([[x, 40, x + 10, 64]], np.float32)
    return LabelledImage(image, boxes, np.zeros(1, bool), number, "", "walk", number)


def test_the_labels_are_of_the_target_frame() -> None:
    patches = PatchConfig(size=32, min_height=24, max_height=24, jitter=0, pedestrian_fraction=1)
    source = SourceConfig("", min_scale=1.0, max_scale=1.0)
    run = [walker(n) for n in range(4)]
    config = ClipConfig(margin=8, max_shift=1.0)
    clips = ClipSampler([run], [source], patches, config, (-1, -2, -3), 2)
    whole = 0
    for seed in range(40):
        clip = clips.draw(np.random.default_rng(seed))
        bright = clip.target.image[..., 0] > 240
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        for box, ignore in zip(clip.target.boxes, clip.target.ignore, strict=True):
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            whole += not ignore
    assert whole > 20


def test_before_a_run_there_is_the_frame_itself() -> None:
    images = with_neighbours([walker(n) for n in (5, 6, 7, 20, 30)], (-1, -2), 1)
    there = [tuple(n is not None for n in i.neighbours) for i in images]
    assert there == [(False, False), (True, False), (True, True), (), ()]
    assert images[2].neighbours[1] is images[0].image
    clips = sampler([walker(0), walker(1)], (-1, -2))
    shown = set()
    for seed in range(20):
        clip = clips.draw(np.random.default_rng(seed))
        itself = tuple(np.array_equal(n, clip.lr) for n in clip.neighbours)
        assert not clip.flows[1].any() and itself[1]
        shown.add(itself)
    assert shown == {(True, True), (False, True)}


def test_colours_change_alike_in_all_frames() -> None:
    still = [frame(0), frame(0), frame(0)]
    run = [replace(image, frame=n) for n, image in enumerate(still)]
    patches = replace(PATCHES, jitter=1.0, night_fraction=0.5)
    source = SourceConfig("", min_scale=1.0, max_scale=1.0)
    clips = ClipSampler([run], [source], patches, ClipConfig(margin=8), (-1, -2), 2)
    means = []
    for seed in range(6):
        clip = clips.draw(np.random.default_rng(seed))
        assert all(np.array_equal(n, clip.lr) for n in clip.neighbours)
        means.append(clip.lr.mean())
    assert max(means) - min(means) > 20


def test_frames_of_a_camera_share_their_faults_but_the_noise() -> None:
    image = to_tensor(textured(32, 32))
    frames = image[:, None].expand(1, 3, -1, -1, -1).repeat(2, 1, 1, 1, 1)
    blurred = CorruptionConfig(probability=1.0, max_noise=0.0, max_shot_noise=0.0)
    same = corrupt_frames(frames, blurred, seed=3)
    assert torch.equal(same[:, 1], same[:, 0]) and torch.equal(same[:, 2], same[:, 0])
    assert not torch.equal(same[0], same[1])  # two cameras
    noisy = CorruptionConfig(probability=1.0, max_blur=0.2, max_noise=0.1)
    grainy = corrupt_frames(frames, noisy, seed=3)
    assert torch.equal(grainy[:, 0], corrupt(frames[:, 0], noisy, seed=3))
    assert not torch.equal(grainy[:, 1], grainy[:, 0])


def test_stills_move_within_the_limits() -> None:
    still = LabelledImage(
        textured(300, 300), np.zeros((0, 4), np.float32), np.zeros(0, bool), 0, ""
    )
    limits = {"max_shift": 3.0, "max_rotation": 0.0, "max_zoom": 0.0}
    clips = sampler([still], (-2, -1, 1), **limits)
    flows = np.stack([clips.draw(np.random.default_rng(s)).flows for s in range(8)])
    lengths = np.hypot(*np.moveaxis(np.median(flows, axis=(3, 4)), 2, 0))
    assert lengths[:, 1:].max() < 1.5 + 0.3  # one frame away: 3 HR px are 1.5 LR px
    assert lengths[:, 0].max() < 3.0 + 0.3
    assert lengths.max() > 0.5


def test_a_clip_depends_on_its_seed_alone() -> None:
    clips = sampler([frame(n) for n in range(20)], (-3, -2, -1, 1, 2, 3), real_fraction=0.5)
    a, b, c = (clips.draw(np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(a.neighbours, b.neighbours) and np.array_equal(a.flows, b.flows)
    assert not np.array_equal(a.target.image, c.target.image)
    batch = clips.collate([a, c], np.random.default_rng(0))
    assert batch.hr.shape == (2, 3, 32, 32)
    assert batch.neighbours.shape == (2, 6, 3, 16, 16)
    assert batch.flows.shape == (2, 6, 2, 16, 16)
    assert torch.equal(batch.to(torch.device("cpu")).lr, batch.lr)


def test_the_video_stage_trains_and_measures(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = SuperResolutionConfig(
        network="rbpn-small-4",
        options={"base_filter": 4, "feat": 4, "past_only": 1},
        scale_factor=2,
        validation=("images",),
        validation_side=32,
    )
    stage = VideoSuperResolution(config, data)
    source = SourceConfig("train.json", min_scale=0.9)
    images = read_sources(data, [source])
    clips = ClipSampler(images, [source], PATCHES, ClipConfig(margin=4), stage.offsets, 2)
    assert stage.offsets == (-1, -2, -3)
    before = {k: v.clone() for k, v in stage.module.state_dict().items()}
    loop = LoopConfig(max_steps=2, batch_size=2, warmup_steps=1, accelerator="cpu", threads=1)
    train(stage, clips, loop, tmp_path)
    after = stage.module.state_dict()
    assert all(not torch.equal(before[k], after[k]) for k in after)
    assert "val/psnr_y/images" in json.loads((tmp_path / "log.jsonl").read_text().split("\n")[-2])


def test_a_single_frame_is_super_resolved_without_neighbours(data: Path) -> None:
    stage = VideoSuperResolution(
        SuperResolutionConfig(network="rbpn-small", scale_factor=2, validation=()), data
    )
    sr = stage.module.get_submodule("sr").eval()
    image = read_folder(data / "images")[0].image[:32, :40]
    alone = super_resolve_frames(sr, [image])
    still = super_resolve_frames(sr, [image] * 3)
    assert alone[0].shape == (32, 40, 3)
    assert np.array_equal(alone[0], still[1])  # a neighbour that shows nothing new is none
