"""The command ``tasksr replay``: its options, and what they start."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tasksr_ros.config import NodeConfig, PipelineConfig, ReplayConfig
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.options import Value, build
from tasksr_ros.ros.transport import restart_with_transport

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not fields of a config."""
    parser.add_argument(
        "input", type=Path, help="bag, video, folder of images, KITTI drive, or a folder of those"
    )
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="P.json", help="predictions file"
    )
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    parser.add_argument(
        "--region",
        default="far",
        help="far: by distance where the camera is calibrated, else the fixed band; full; or a "
        "YAML file of region parameters (%(default)s)",
    )
    parser.add_argument("--engine", help="short for --engine.name")
    parser.add_argument(
        "--topic", action="append", default=[], help="image topic of a bag; may be repeated"
    )
    parser.add_argument(
        "--ground-truth",
        action="append",
        default=[],
        metavar="GT",
        help="COCO file, or the bag's topic of type Detection2DArray, one for each --topic: gives "
        "the image ids",
    )
    parser.add_argument("--calibration", type=Path, help="file with the camera's intrinsics")
    parser.add_argument(
        "--bag", type=Path, metavar="DIR", help="also write a bag with the detections"
    )
    parser.add_argument(
        "--video", type=Path, metavar="FILE.mp4", help="also write an annotated video"
    )
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE.png",
        help="also write a contact sheet of the most interesting frames, annotated",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="replay through the running node at the recorded rate; one is started if none runs",
    )
    parser.add_argument(
        "--node", default="tasksr", help="name of the node for --live (%(default)s)"
    )
    parser.add_argument(
        "--listen",
        action="store_true",
        help="with --live: do not publish, another player does (ros2 bag play)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="address of a Dask scheduler whose workers replay the recordings of a folder",
    )
    parser.add_argument(
        "--restart", action="store_true", help="discard what an earlier replay has left"
    )


def run(
    options: argparse.Namespace,
    pipeline_values: dict[str, Value],
    replay_values: dict[str, Value],
    command: str,
) -> None:
    """Replay what the options say.

    Args:
        options: as `add_arguments` defines them.
        pipeline_values: fields of `PipelineConfig` that were given.
        replay_values: fields of `ReplayConfig` that were given.
        command: as typed.
    """
    from tasksr_ros.replay.job import Job, Live
    from tasksr_ros.replay.many import recordings_below
    from tasksr_ros.replay.run import replay

    if options.live or options.listen:
        restart_with_transport()
    if options.engine:
        pipeline_values = {"engine.name": options.engine, **pipeline_values}
    build(PipelineConfig, pipeline_values)  # what is wrong is told before anything is read
    config = build(ReplayConfig, replay_values)
    if options.predictions.suffix != ".json":
        raise ConfigError(f"--predictions must end in .json, got {str(options.predictions)!r}")
    if options.sheet and options.sheet.suffix not in (".png", ".jpg"):
        raise ConfigError(f"--sheet must end in .png or .jpg, got {str(options.sheet)!r}")
    recordings = recordings_below(options.input)
    if recordings:
        given = {**pipeline_values, **replay_values}
        _replay_many(options, recordings, given, config.workers, command)
        return
    job = Job(
        input=options.input,
        predictions=options.predictions,
        bundle=options.bundle,
        region=options.region,
        values=pipeline_values,
        config=config,
        topics=tuple(options.topic),
        ground_truth=tuple(options.ground_truth),
        calibration=options.calibration,
        bag=options.bag,
        video=options.video,
        sheet=options.sheet,
        restart=options.restart,
        live=Live(options.node, options.listen) if options.live or options.listen else None,
        command=command,
    )
    replay(job)


def _replay_many(
    options: argparse.Namespace,
    recordings: list[Path],
    given: dict[str, Value],
    workers: int,
    command: str,
) -> None:
    """Replay each recording into a file of its own, and merge these.

    Raises:
        RecordingError: once all are done, if one failed.
    """
    from tasksr_ros.bundle import load_bundle
    from tasksr_ros.evaluation.ground_truth import annotation_file
    from tasksr_ros.io.recording import make_folder
    from tasksr_ros.replay.many import Part, run_parts, threads_each
    from tasksr_ros.replay.merged import merge_parts
    from tasksr_ros.replay.run_file import beside, origin

    if options.live or options.listen:
        raise ConfigError(f"--live takes one recording, got {len(recordings)} in {options.input}")
    bundle = load_bundle(options.bundle)
    if workers > 1 and options.scheduler is None:
        given = {"engine.threads": threads_each(workers), **given}
    folder = beside(options.predictions, ".parts")
    make_folder(folder)
    names = {r: r.relative_to(options.input).as_posix().replace("/", "__") for r in recordings}
    parts = []
    for recording, name in names.items():
        predictions = folder / f"{name}.json"
        arguments = _arguments(options, given, recording, predictions, name)
        parts.append(Part(recording, predictions, arguments))
    failed = run_parts(parts, workers, options.scheduler)
    finished = {names[p.recording]: p.predictions for p in parts if p.recording not in failed}
    problems = {names[recording]: reason for recording, reason in failed.items()}
    if finished:
        truths = (annotation_file(Path(text)) for text in options.ground_truth)
        common = next((path for path in truths if path.is_file()), None)
        sha256 = bundle.sha256
        info = origin(command, options.bundle, sha256, "see the parts")
        merged = merge_parts(finished, problems, options.predictions, info, common)
        counts = merged["counts"]
        logger.info(
            "%d recordings, %d frames, %d detections; in %s",
            len(finished),
            counts["processed"],
            counts["detections"],
            options.predictions,
        )
    if failed:
        raise RecordingError(
            f"{len(failed)} of {len(parts)} recordings failed: "
            + "; ".join(f"{name} ({reason})" for name, reason in problems.items())
        )


def _arguments(
    options: argparse.Namespace,
    given: dict[str, Value],
    recording: Path,
    predictions: Path,
    name: str,
) -> tuple[str, ...]:
    """Of ``tasksr replay`` for one of many recordings."""
    values: dict[str, object] = {
        "predictions": predictions.resolve(),
        "bundle": _resolved(options.bundle),
        "region": _resolved(options.region),
        **{key: value for key, value in given.items() if key != "workers"},
    }
    if options.calibration:
        values["calibration"] = options.calibration.resolve()
    if options.bag:
        values["bag"] = options.bag.resolve() / name
    if options.video:
        values["video"] = (options.video.with_suffix("") / f"{name}.mp4").resolve()
    if options.sheet:
        values["sheet"] = options.sheet.with_suffix("").resolve() / f"{name}{options.sheet.suffix}"
    arguments = [str(recording.resolve())]
    for key, value in values.items():
        arguments += [f"--{key}", str(value)]
    for topic in options.topic:
        arguments += ["--topic", topic]
    for truth in options.ground_truth:
        arguments += ["--ground-truth", _resolved(truth)]
    return (*arguments, "--restart") if options.restart else tuple(arguments)


def _resolved(text: str) -> str:
    """A path that exists as an absolute one, for whoever runs elsewhere; else the text."""
    return str(Path(text).resolve()) if Path(text).exists() else text
