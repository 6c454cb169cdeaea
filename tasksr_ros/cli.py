"""The command ``tasksr``."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_origin

from tasksr_ros import __version__
from tasksr_ros.config import (
    EngineOptions,
    EvaluationConfig,
    NodeConfig,
    PipelineConfig,
    ReplayConfig,
)
from tasksr_ros.errors import BundleError, TaskSRError
from tasksr_ros.evaluation.summary import Summary
from tasksr_ros.options import Value, build, walk


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status. Errors of use are one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
    except (TaskSRError, OSError) as error:
        print(f"tasksr {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"tasksr {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tasksr", description="See pedestrians further.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_detect(commands)
    _add_replay(commands)
    _add_make_bag(commands)
    _add_make_drive(commands)
    _add_models(commands)
    _add_build_engine(commands)
    _add_benchmark(commands)
    _add_evaluate(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], None], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_detect(commands: Any) -> None:
    parser = _command(
        commands, "detect", _detect, "detect pedestrians in an image, video, folder or bag"
    )
    parser.add_argument("input", help="image, video, folder of images, KITTI drive or rosbag2")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for the results (%(default)s)"
    )
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    parser.add_argument("--topic", help="image topic, if a bag has several")
    parser.add_argument("--calibration", help="file with the camera's intrinsics")
    _add_config(parser, PipelineConfig)


def _add_replay(commands: Any) -> None:
    from tasksr_ros.replay.command import add_arguments

    parser = _command(
        commands, "replay", _replay, "run recordings through the pipeline into a predictions file"
    )
    add_arguments(parser)
    _add_config(parser, ReplayConfig, "frames")
    _add_config(parser, PipelineConfig)


def _add_make_bag(commands: Any) -> None:
    parser = _command(commands, "make-bag", _make_bag, "make a rosbag2 of a folder or video")
    parser.add_argument("input", help="video, folder of images or KITTI drive")
    parser.add_argument("out", type=Path, help="folder of the bag; must not exist")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument("--compressed", action="store_true", help="write CompressedImage")
    parser.add_argument("--topic", default="/camera/image", help="image topic (%(default)s)")
    parser.add_argument("--calibration", help="file with the camera's intrinsics")


def _add_make_drive(commands: Any) -> None:
    parser = _command(
        commands, "make-drive", _make_drive, "generate a drive with pedestrians at known distances"
    )
    parser.add_argument("out", type=Path, help="folder for images and ground_truth.json")
    parser.add_argument("--frames", type=int, default=100, help="number of frames (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (%(default)s)")


def _add_models(commands: Any) -> None:
    parser = _command(commands, "models", _models, "list the shipped models, or check one")
    parser.add_argument("bundle", nargs="*", help="names or folders; all shipped ones if none")


def _add_build_engine(commands: Any) -> None:
    parser = _command(
        commands,
        "build-engine",
        _build_engine,
        "compile a model for this machine beforehand, and compare it with torch in fp32",
    )
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    _add_config(parser, EngineOptions)


def _add_benchmark(commands: Any) -> None:
    from tasksr_ros.benchmarks.command import add_arguments

    parser = _command(commands, "benchmark", _benchmark, "measure speed, side by side in one run")
    add_arguments(parser)


def _add_evaluate(commands: Any) -> None:
    parser = _command(
        commands, "evaluate", _evaluate, "measure predictions files, and compare them"
    )
    parser.add_argument("--ground-truth", type=Path, required=True, help="COCO JSON")
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        required=True,
        help="COCO results JSON; further files are compared with the first",
    )
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--html", type=Path, help="file to write the report to")
    parser.add_argument("--images", type=Path, help="folder of the images (the ground truth's)")
    parser.add_argument(
        "--bundle", help="model whose super-resolved crops the report shows (the last run's)"
    )
    _add_config(parser, EvaluationConfig)


def _add_config(parser: Any, config_type: type, title: str = "configuration") -> None:
    """One option for each field of a config; none given leaves the default."""
    group = parser.add_argument_group(title)
    for name, type_, default, option in walk(config_type):
        text = option.description.replace("%", "%%")
        group.add_argument(
            f"--{name}",
            dest=f"config:{name}",
            type=_yes_or_no if type_ is bool else (str if get_origin(type_) else type_),
            choices=option.choices or None,
            metavar=None if option.choices else "VALUE",
            help=f"{text} ({default})",
        )


def _yes_or_no(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return known[text.lower()]


def _given(options: argparse.Namespace, config_type: type) -> dict[str, Value]:
    """Fields of a config that were given as options, by full name."""
    given = {name: getattr(options, f"config:{name}") for name, *_ in walk(config_type)}
    return {name: value for name, value in given.items() if value is not None}


def _detect(options: argparse.Namespace) -> None:
    from tasksr_ros.calibration import read_calibration
    from tasksr_ros.detect import detect
    from tasksr_ros.recordings import open_recording

    config = build(PipelineConfig, _given(options, PipelineConfig))
    recording = open_recording(options.input, options.topic)
    if options.calibration:
        recording.camera = read_calibration(options.calibration)
    detect(recording, options.bundle, config, options.out)


def _replay(options: argparse.Namespace) -> None:
    from tasksr_ros.replay.command import run

    pipeline_values = _given(options, PipelineConfig)
    run(options, pipeline_values, _given(options, ReplayConfig), _command_line())


def _command_line() -> str:
    """The command as typed, to be run again."""
    return shlex.join(["tasksr", *sys.argv[1:]])


def _make_bag(options: argparse.Namespace) -> None:
    from tasksr_ros.calibration import read_calibration
    from tasksr_ros.make_bag import make_bag

    camera = read_calibration(options.calibration) if options.calibration else None
    make_bag(
        options.input,
        options.out,
        storage=options.storage,
        compressed=options.compressed,
        camera=camera,
        topic=options.topic,
    )


def _make_drive(options: argparse.Namespace) -> None:
    from tasksr_ros.drive.coco import write_coco
    from tasksr_ros.generated_drive import DriveConfig, GeneratedDrive

    config = DriveConfig(num_frames=options.frames, seed=options.seed)
    print(write_coco(GeneratedDrive(config), options.out))


def _models(options: argparse.Namespace) -> None:
    from tasksr_ros.bundle import Bundle, load_any_bundle, shipped_bundles

    for bundle in map(load_any_bundle, options.bundle or shipped_bundles()):
        what = "super-resolution alone"
        if isinstance(bundle, Bundle):
            width, height = bundle.region_size
            what = f"regions of {width}x{height} px, classes {', '.join(bundle.classes)}"
        print(
            f"{bundle.name}: {bundle.sr} x{bundle.scale_factor}, {what}, "
            f"sha256 {bundle.weights_sha256[:12]} verified"
        )


def _build_engine(options: argparse.Namespace) -> None:
    from tasksr_ros.engines.build import build_and_verify

    config = build(EngineOptions, _given(options, EngineOptions)).engine
    print(build_and_verify(options.bundle, config))


def _benchmark(options: argparse.Namespace) -> None:
    from tasksr_ros.benchmarks.command import run

    run(options, _command_line())


def _evaluate(options: argparse.Namespace) -> None:
    from tasksr_ros.evaluation.evaluate import evaluate, write_json
    from tasksr_ros.evaluation.summary_text import text
    from tasksr_ros.recordings import make_folder

    config = build(EvaluationConfig, _given(options, EvaluationConfig))
    for path in filter(None, (options.json, options.html)):
        make_folder(path.parent)
    summary = evaluate(options.ground_truth, options.predictions, config, _command_line())
    print(text(summary))
    if options.json:
        write_json(summary, options.json)
    if options.html:
        _write_report(summary, options)


def _write_report(summary: Summary, options: argparse.Namespace) -> None:
    from tasksr_ros.evaluation.report import super_resolver, write_report

    bundle = options.bundle or summary["runs"][-1]["info"].get("bundle")
    super_resolve = None
    try:
        super_resolve = super_resolver(bundle) if bundle else None
    except BundleError as error:
        if options.bundle:
            raise
        logging.getLogger(__name__).info("no super-resolved crops in the report: %s", error)
    images = options.images or options.ground_truth.parent
    write_report(summary, options.html, images, super_resolve)


if __name__ == "__main__":
    sys.exit(main())
