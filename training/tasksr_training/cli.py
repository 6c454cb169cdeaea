"""`tasksr-train`: one command per stage."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from tasksr_ros.errors import TaskSRError
from tasksr_ros.networks import BLIND_SR_NAMES, VIDEO_SR_NAMES, build_sr
from tasksr_training import compare_sr_report, data_commands
from tasksr_training.checkpoints import load_network
from tasksr_training.clips import ClipConfig, ClipSampler
from tasksr_training.coco import read_set
from tasksr_training.compare_sr import ComparisonConfig
from tasksr_training.compare_sr import compare as measure_sr
from tasksr_training.datasets import PatchConfig, PatchSampler, SourceConfig, read_sources
from tasksr_training.drives import write_drives
from tasksr_training.export import export, export_sr
from tasksr_training.loop import LoopConfig, train
from tasksr_training.panels import write_panels
from tasksr_training.precision import precision_predictions
from tasksr_training.stages.blind import BlindSuperResolution
from tasksr_training.stages.detector import DetectorConfig, DetectorStage
from tasksr_training.stages.super_resolution import SuperResolution, SuperResolutionConfig
from tasksr_training.stages.task_driven import TaskDriven, TaskDrivenConfig
from tasksr_training.stages.video import VideoSuperResolution
from tasksr_training.validation import System, markdown
from tasksr_training.validation import validate as compare

CLIPS = ClipConfig()


def _sampler(data: Path, sources: Sequence[SourceConfig], patches: PatchConfig) -> PatchSampler:
    return PatchSampler(read_sources(data, sources), sources, patches)


def super_resolution(
    out: Path,
    data: Path,
    sources: list[SourceConfig],
    patches: PatchConfig,
    stage: SuperResolutionConfig,
    loop: LoopConfig,
    clips: ClipConfig = CLIPS,
) -> None:
    """Train a super-resolution network on HR images alone: still, video or blind.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how HR patches are cut.
        stage: what is trained.
        loop: how long and how.
        clips: for a video network, how patches become clips.
    """
    torch.manual_seed(loop.seed)
    if stage.network in VIDEO_SR_NAMES:
        video = VideoSuperResolution(stage, data)
        images = read_sources(data, sources)
        sampler = ClipSampler(images, sources, patches, clips, video.num_frames, stage.scale_factor)
        train(video, sampler, loop, out)
        return
    kind = BlindSuperResolution if stage.network in BLIND_SR_NAMES else SuperResolution
    train(kind(stage, data), _sampler(data, sources, patches), loop, out)


def detector(
    out: Path,
    data: Path,
    sources: list[SourceConfig],
    patches: PatchConfig,
    stage: DetectorConfig,
    loop: LoopConfig,
) -> None:
    """Train the detector on HR images.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how HR patches are cut.
        stage: what is trained.
        loop: how long and how.
    """
    torch.manual_seed(loop.seed)
    train(DetectorStage(stage, data), _sampler(data, sources, patches), loop, out)


def task_driven(
    out: Path,
    data: Path,
    sources: list[SourceConfig],
    patches: PatchConfig,
    stage: TaskDrivenConfig,
    loop: LoopConfig,
) -> None:
    """Train super-resolution and detector together, or the bicubic baseline.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how HR patches are cut.
        stage: what is trained.
        loop: how long and how.
    """
    torch.manual_seed(loop.seed)
    train(TaskDriven(stage, data), _sampler(data, sources, patches), loop, out)


def validate(
    out: Path,
    data: Path,
    detector: str,
    tdsr: str = "",
    sr: str = "",
    bicubic: str = "",
    scale_factor: int = 4,
    sets: Sequence[str] = ("camvid/val.json", "bdd100k/val.json"),
    threads: int = 0,
) -> None:
    """Compare TDSR with its baselines on whole images that none was trained on.

    Args:
        out: folder for the predictions, ``validation.json`` and pictures: with ``tdsr`` and
            ``bicubic``, the images of the largest gain, the largest loss and the median.
        data: folder that the paths of image sets start from.
        detector: run of the detector stage: rows on HR and on bicubic images.
        tdsr: run of the task-driven stage.
        sr: run of the super-resolution stage: its row with the HR detector.
        bicubic: run of the bicubic baseline.
        scale_factor: how many times smaller the LR images are.
        sets: COCO JSON files relative to the data folder.
        threads: CPU threads; 0: all.
    """
    if threads:
        torch.set_num_threads(threads)
    hr_detector = load_network(Path(detector), "detector")[0]
    bicubic_sr = build_sr("bicubic", scale_factor)
    systems = [
        System("hr + hr detector", None, hr_detector),
        System("bicubic + hr detector", bicubic_sr, hr_detector),
    ]
    if sr:
        systems.append(System("sr + hr detector", load_network(Path(sr), "sr")[0], hr_detector))
    if bicubic:
        retrained = load_network(Path(bicubic), "detector")[0]
        systems.append(System("bicubic + retrained detector", bicubic_sr, retrained))
    if tdsr:
        run = Path(tdsr)
        networks = load_network(run, "sr")[0], load_network(run, "detector")[0]
        systems.append(System("bicubic + tdsr's detector", bicubic_sr, networks[1]))
        systems.append(System("tdsr", *networks))
    images = {name.removesuffix(".json"): read_set(data, name) for name in sets}
    print(markdown(compare(systems, images, scale_factor, out)))
    if tdsr and bicubic:
        write_panels(systems, images, out, "tdsr", "bicubic + retrained detector")


def compare_sr(
    out: Path,
    data: Path,
    runs: Path,
    comparisons: list[ComparisonConfig],
    threads: int = 1,
) -> None:
    """Compare super-resolution networks: size, cost, PSNR and SSIM beside bicubic.

    Args:
        out: folder for ``compare_sr.json``, the table, the plot, training curves and panels.
        data: folder that the paths of image sets start from.
        runs: folder that the paths of training runs start from.
        comparisons: systems on the same LR images.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    result, panels = measure_sr(comparisons, data, runs)
    (out / "compare_sr.json").write_text(json.dumps(result, indent=1))
    table = compare_sr_report.markdown(result)
    (out / "compare_sr.md").write_text(table)
    compare_sr_report.plot(result, out / "compare_sr.png")
    compare_sr_report.curves(comparisons, runs, out / "curves.png")
    for index, panel in enumerate(panels):
        compare_sr_report.draw_panel(panel, out / f"panel_{index + 1:02}.png")
    print(table)


COMMANDS: dict[str, Callable[..., object]] = {
    "super-resolution": super_resolution,
    "detector": detector,
    "task-driven": task_driven,
    "validate": validate,
    "compare-sr": compare_sr,
    "precision-predictions": precision_predictions,
    "export": export,
    "export-sr": export_sr,
    "generated-drives": write_drives,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = ArgumentParser(prog="tasksr-train", description=__doc__)
    commands = parser.add_subcommands(dest="command")
    for name, function in COMMANDS.items():
        command = ArgumentParser(description=(function.__doc__ or "").split("\n")[0])
        command.add_argument("--config", action="config", help="YAML file of these options")
        command.add_function_arguments(function)
        commands.add_subcommand(name, command)
    data_commands.add_to(commands)
    parsed = parser.parse_args(argv)
    try:
        arguments = parser.instantiate(parsed)
        if arguments.command == "data":
            data_commands.run(arguments.data)
            return 0
        values = dict(arguments[arguments.command])
        values.pop("config", None)
        if "loop" in values:
            _keep(parser.dump(parsed), values["out"])
        COMMANDS[arguments.command](**values)
    except TaskSRError as error:
        print(f"tasksr-train: {error}", file=sys.stderr)
        return 1
    return 0


def _keep(text: str, out: Path) -> None:
    """Write the options of a run beside its checkpoints."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
