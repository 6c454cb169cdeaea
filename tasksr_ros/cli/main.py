"""The command ``tasksr``."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros import __version__
from tasksr_ros.cli.arguments import add_config, exit_status, given
from tasksr_ros.config import (
    DecodingOptions,
    EngineOptions,
    EvaluationConfig,
    NodeConfig,
    PipelineConfig,
    ReplayConfig,
)
from tasksr_ros.errors import BundleError
from tasksr_ros.evaluation.summary import Summary
from tasksr_ros.options import build


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status. Errors of use are one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    return exit_status(f"tasksr {options.command}", lambda: run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tasksr", description="See pedestrians further.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_detect(commands)
    _add_replay(commands)
    _add_make_bag(commands)
    _add_make_drive(commands)
    _add_models(commands)
    _add_import_detector(commands)
    _add_export_onnx(commands)
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
    parser.add_argument("input", help="image, video, folder of images, KITTI drive or bag")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for the results (%(default)s)"
    )
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    parser.add_argument("--topic", help="image topic, if a bag has several")
    parser.add_argument("--calibration", help="file with the camera's intrinsics")
    add_config(parser, DecodingOptions, "decoding")
    add_config(parser, PipelineConfig)


def _add_replay(commands: Any) -> None:
    from tasksr_ros.cli.replay import add_arguments

    parser = _command(
        commands, "replay", _replay, "run recordings through the pipeline into a predictions file"
    )
    add_arguments(parser)
    add_config(parser, ReplayConfig, "frames")
    add_config(parser, PipelineConfig)


def _add_make_bag(commands: Any) -> None:
    parser = _command(commands, "make-bag", _make_bag, "make a rosbag2 of a folder or video")
    parser.add_argument("input", help="video, folder of images or KITTI drive")
    parser.add_argument("out", type=Path, help="folder of the bag; must not exist")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument("--compressed", action="store_true", help="write CompressedImage")
    parser.add_argument("--topic", default="/camera/image", help="image topic (%(default)s)")
    parser.add_argument("--calibration", help="file with the camera's intrinsics")
    add_config(parser, DecodingOptions, "decoding")


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


def _add_import_detector(commands: Any) -> None:
    from tasksr_ros.cli.import_detector import add_arguments

    parser = _command(
        commands,
        "import-detector",
        _import_detector,
        "make a bundle of a detector that others made (ONNX, OpenVINO)",
    )
    add_arguments(parser)


def _add_export_onnx(commands: Any) -> None:
    parser = _command(
        commands,
        "export-onnx",
        _export_onnx,
        "write a model as one ONNX graph: uint8 regions in; boxes, scores and class ids out",
    )
    parser.add_argument("bundle", help="model: name or folder")
    parser.add_argument("out", type=Path, help="file to write (.onnx)")


def _add_build_engine(commands: Any) -> None:
    parser = _command(
        commands,
        "build-engine",
        _build_engine,
        "compile a model for this machine beforehand, and compare it with torch in fp32",
    )
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    add_config(parser, EngineOptions)


def _add_benchmark(commands: Any) -> None:
    from tasksr_ros.cli.benchmark import add_arguments

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
    add_config(parser, EvaluationConfig)


def _detect(options: argparse.Namespace) -> None:
    from tasksr_ros.cli.detect import detect
    from tasksr_ros.io.calibration import is_rectified, read_calibration
    from tasksr_ros.io.recordings import open_recording

    config = build(PipelineConfig, given(options, PipelineConfig))
    recording = open_recording(options.input, options.topic)
    recording.decoding = build(DecodingOptions, given(options, DecodingOptions)).decoding
    if options.calibration:
        rectified = is_rectified("auto", recording.topic or Path(options.input).name)
        recording.camera = read_calibration(options.calibration, rectified=rectified)
    detect(recording, options.bundle, config, options.out)


def _replay(options: argparse.Namespace) -> None:
    from tasksr_ros.cli.replay import run

    pipeline_values = given(options, PipelineConfig)
    run(options, pipeline_values, given(options, ReplayConfig), _command_line())


def _command_line() -> str:
    """The command as typed, to be run again."""
    return shlex.join(["tasksr", *sys.argv[1:]])


def _make_bag(options: argparse.Namespace) -> None:
    from tasksr_ros.io.calibration import is_rectified, read_calibration
    from tasksr_ros.io.make_bag import make_bag
    from tasksr_ros.io.recordings import open_recording

    camera = None
    if options.calibration:
        names = options.topic, Path(options.input).name
        rectified = any(is_rectified("auto", name) for name in names)
        camera = read_calibration(options.calibration, rectified=rectified)
    recording = open_recording(options.input)
    recording.decoding = build(DecodingOptions, given(options, DecodingOptions)).decoding
    make_bag(
        recording,
        options.out,
        storage=options.storage,
        compressed=options.compressed,
        camera=camera,
        topic=options.topic,
    )


def _make_drive(options: argparse.Namespace) -> None:
    from tasksr_ros.synthetic.coco import write_coco
    from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

    config = DriveConfig(num_frames=options.frames, seed=options.seed)
    print(write_coco(GeneratedDrive(config), options.out))


def _models(options: argparse.Namespace) -> None:
    from tasksr_ros.bundle import Bundle, OwnDetector, load_any_bundle, shipped_bundles

    for bundle in map(load_any_bundle, options.bundle or shipped_bundles()):
        sr = bundle.sr
        parts = [f"{sr.network} x{sr.scale_factor:g}" if sr else "no super-resolution"]
        if isinstance(bundle, Bundle):
            detector, (width, height) = bundle.detector, bundle.region_size
            what = detector.network if isinstance(detector, OwnDetector) else detector.model
            parts.append(f"detector {what}")
            parts.append(f"regions of {width}x{height} px, classes {', '.join(bundle.classes)}")
        print(f"{bundle.name}: {', '.join(parts)}; {len(bundle.files)} files verified")


def _import_detector(options: argparse.Namespace) -> None:
    from tasksr_ros.cli.import_detector import run

    run(options, _command_line())


def _export_onnx(options: argparse.Namespace) -> None:
    from tasksr_ros.bundle.export_onnx import export_onnx

    print(export_onnx(options.bundle, options.out))


def _build_engine(options: argparse.Namespace) -> None:
    from tasksr_ros.engines.build import build_and_verify

    config = build(EngineOptions, given(options, EngineOptions))
    print(build_and_verify(options.bundle, config.engine, config.near))


def _benchmark(options: argparse.Namespace) -> None:
    from tasksr_ros.cli.benchmark import run

    run(options, _command_line())


def _evaluate(options: argparse.Namespace) -> None:
    from tasksr_ros.evaluation.evaluate import evaluate, write_json
    from tasksr_ros.evaluation.summary_text import text
    from tasksr_ros.io.recording import make_folder

    config = build(EvaluationConfig, given(options, EvaluationConfig))
    for path in filter(None, (options.json, options.html)):
        make_folder(path.parent)
    summary = evaluate(options.ground_truth, options.predictions, config, _command_line())
    print(text(summary))
    if options.json:
        write_json(summary, options.json)
    if options.html:
        _write_report(summary, options)


def _write_report(summary: Summary, options: argparse.Namespace) -> None:
    from tasksr_ros.evaluation.ground_truth import annotation_file
    from tasksr_ros.evaluation.report import super_resolver, write_report

    bundle = options.bundle or summary["runs"][-1]["info"].get("bundle")
    super_resolve = None
    try:
        super_resolve = super_resolver(bundle) if bundle else None
    except BundleError as error:
        if options.bundle:
            raise
        logging.getLogger(__name__).info("no super-resolved crops in the report: %s", error)
    images = options.images or annotation_file(options.ground_truth).parent
    write_report(summary, options.html, images, super_resolve)


if __name__ == "__main__":
    sys.exit(main())
