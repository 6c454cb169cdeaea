"""One replay from recording to files: what `tasksr replay` does for one input."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from tasksr_ros.bundle import Bundle, load_bundle, shipped_bundles
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import PipelineConfig, ReplayConfig
from tasksr_ros.engines import choose_engine
from tasksr_ros.errors import ConfigError, ImageError, RecordingError
from tasksr_ros.io.bag_storage import is_storage
from tasksr_ros.io.calibration import is_rectified, read_calibration
from tasksr_ros.io.folders import FolderRecording
from tasksr_ros.io.recording import Recording, make_folder
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.model import load_model
from tasksr_ros.options import build, flatten
from tasksr_ros.replay.job import Job, Live
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.offline import run_offline
from tasksr_ros.replay.region_choice import region_values
from tasksr_ros.replay.results import write_results
from tasksr_ros.replay.run_file import beside, origin, write_json
from tasksr_ros.replay.truth_file import TruthImages
from tasksr_ros.replay.truth_images import check_first
from tasksr_ros.replay.truth_topic import is_topic, read_truth_topics

_NO_EFFECT = (
    "engine.threads",
    "engine.cache_dir",
    "engine.on_mismatch",
    "engine.max_batch",
    "engine.cuda_graphs",
)
"""Settings that do not change what is found."""
_TRIED = 20
"""Frames, for each camera, of which the first that can be read shows the size of all."""


logger = logging.getLogger(__name__)

Configs: TypeAlias = Mapping[str, PipelineConfig]
"""Configuration of the pipeline by camera."""


def replay(job: Job) -> None:
    """Replay a recording and write its predictions file.

    Raises:
        TaskSRError: if the input, the bundle, the engine or the ground truth does not serve.
    """
    bundle = load_bundle(job.bundle)
    recording, truth = open_input(job, bundle.classes)
    configs: Configs = {
        camera: pipeline_config(job, model) for camera, model in recording.cameras.items()
    }
    key = _key(job, recording, bundle, configs, truth)
    restart = job.restart or job.live is not None
    with Journal(beside(job.predictions, ".journal"), key, restart=restart) as journal:
        if job.live is not None:
            bundle, configs, engine = _run_live(job, job.live, recording, bundle, configs, journal)
        else:
            engine = _run_offline(job, recording, bundle, configs, journal)
        info = origin(job.command, _findable(bundle), bundle.sha256, engine)
        run = {
            "name": f"{bundle.name} {Path(job.region).stem}{' live' if job.live else ''}",
            "info": info | {"region": job.region},
            "mode": "live" if job.live else "offline",
            "config": flatten(next(iter(configs.values()))),
        }
        regions = {camera: config.region for camera, config in configs.items()}
        write_results(job, recording, truth, journal, bundle, run, regions)


def _run_offline(
    job: Job, recording: Recording, bundle: Bundle, configs: Configs, journal: Journal
) -> str:
    """Run what the journal lacks; returns the engine's name."""
    config = next(iter(configs.values()))
    if journal.summary is not None:
        return engine_name(config, bundle)
    remembering = {
        "tracks go on": config.tracking.enabled,
        "attention goes on": config.region.budget,
        "super-resolution goes on": bundle.neighbours,
    }
    what = [name for name, on in remembering.items() if on]
    if what and journal.outcomes:
        logger.info("%s from frame to frame: the replay begins anew", what[0])
        journal.clear()
    model = load_model(bundle.folder, config.engine, config.near)
    pipelines = {
        camera: model.pipeline(config, recording.cameras[camera])
        for camera, config in configs.items()
    }
    run_offline(recording, pipelines, job.config, journal)
    return model.engine.name


def _run_live(
    job: Job,
    live: Live,
    recording: Recording,
    bundle: Bundle,
    configs: Configs,
    journal: Journal,
) -> tuple[Bundle, Configs, str]:
    """Replay through the node; returns its bundle, its configuration and its engine's name."""
    from tasksr_ros.replay.live import LiveOptions, run_live

    config = next(iter(configs.values()))
    defaults = flatten(PipelineConfig())
    changed = {name: v for name, v in flatten(config).items() if v != defaults[name]}
    changed |= _decoding(job)
    options = LiveOptions(live.node, live.listen, job.bundle, changed)
    told = run_live(recording, options, job.config, journal)
    if not told:
        return bundle, configs, "unknown"
    values = {name: told[name] for name in defaults if name in told}
    config = build(PipelineConfig, values)
    return load_bundle(told["bundle"]), dict.fromkeys(configs, config), engine_name(config, bundle)


def _findable(bundle: Bundle) -> str:
    """What `load_bundle` finds it by: its name where it is shipped, else its folder."""
    return bundle.name if bundle.folder in shipped_bundles() else str(bundle.folder.resolve())


def engine_name(config: PipelineConfig, bundle: Bundle) -> str:
    """The engine that a configuration chooses here."""
    name = config.engine.name
    return choose_engine(bundle) if name == "auto" else name


def open_input(job: Job, classes: tuple[str, ...]) -> tuple[Recording, TruthImages | None]:
    """The recording and the images of its ground truth.

    Of a folder, only the images that the ground truth lists are replayed.
    """
    make_folder(job.predictions.parent)
    recording = open_recording(job.input, list(job.topics) or None, job.config.intrinsics)
    truth = None
    if job.ground_truth:
        truth = _read_truth(job, list(recording.cameras), classes)
    if isinstance(recording, FolderRecording) and truth is not None and job.input.is_dir():
        recording = FolderRecording(job.input, list(truth.files(job.input)))
    recording.decoding = job.config.decoding
    if job.calibration:
        rectified = is_rectified(job.config.intrinsics, recording.topic or job.input.name)
        recording.camera = read_calibration(job.calibration, rectified=rectified)
    if truth is not None:  # rather than after the replay
        files = isinstance(recording, FolderRecording)
        check_first(_first_sizes(recording), truth, job.input, files=files)
    return recording, truth


def _first_sizes(recording: Recording) -> dict[str, tuple[int, int]]:
    """Width and height, px, of the first frame of each camera that can be read."""
    sizes = dict.fromkeys(recording.cameras, (0, 0))
    with suppress(RecordingError):  # the replay will tell what is damaged
        for item in itertools.islice(recording.pending(), _TRIED * len(sizes)):
            if sizes[item.camera] == (0, 0):
                with suppress(ImageError):
                    sizes[item.camera] = item.load().size
            if (0, 0) not in sizes.values():
                break
    return sizes


def _read_truth(job: Job, cameras: list[str], classes: tuple[str, ...]) -> TruthImages:
    """The ground truth of a file; that of topics is written to one beside the predictions."""
    given = job.ground_truth
    if len(given) == 1 and not is_topic(job.input, given[0]):
        return TruthImages.read(Path(given[0]))
    if len(given) != len(cameras):
        raise ConfigError(
            f"ground truth must be one file, or a topic for each of {len(cameras)} cameras in the "
            f"order of --topic ({', '.join(cameras)}), got {', '.join(given)}"
        )
    path = beside(job.predictions, ".ground_truth.json")
    topics = dict(zip(cameras, given, strict=True))
    content, notes = read_truth_topics(job.input, topics, classes)
    write_json(path, content)
    return TruthImages.read(path, notes)


def pipeline_config(job: Job, camera: CameraModel | None) -> PipelineConfig:
    """The configuration for one camera.

    Raises:
        ConfigError: if the region's file or a value is wrong.
    """
    values = region_values(job.region, camera)
    if not job.values.get("tracking.enabled"):  # tracks depend on the threshold
        values["detection.score_threshold"] = job.config.least_score
    return build(PipelineConfig, {**values, **job.values})


def _key(
    job: Job,
    recording: Recording,
    bundle: Bundle,
    configs: Configs,
    truth: TruthImages | None,
) -> dict[str, Any]:
    """Everything that the outcomes depend on."""
    config = flatten(next(iter(configs.values())))
    engine = engine_name(next(iter(configs.values())), bundle)
    config.pop("engine.name")
    selection = flatten(job.config)
    for name in _NO_EFFECT:
        config.pop(name)
    key: dict[str, Any] = {
        "input": _identity(recording),
        "cameras": {
            name: None if camera is None else asdict(camera)
            for name, camera in recording.cameras.items()
        },
        "bundle_sha256": bundle.sha256,
        "region_size": bundle.region_size,
        "engine": engine,
        **{name: selection[name] for name in ("every", "start", "duration")},
        **{f"{camera} region.mode": c.region.mode for camera, c in configs.items()},
        **config,
        **_decoding(job),
    }
    if isinstance(recording, FolderRecording) and truth is not None:
        key["ground_truth_sha256"] = truth.sha256  # says which images
    return key


def _decoding(job: Job) -> dict[str, Any]:
    """What of the decoding was chosen, by full name."""
    known, default = flatten(job.config), flatten(ReplayConfig())
    return {k: v for k, v in known.items() if k.startswith("decoding.") and v != default[k]}


def _identity(recording: Recording) -> list[Any]:
    """Name, number of files, their size in bytes, and when the newest was changed."""
    path = recording.path
    if isinstance(recording, FolderRecording):
        files = recording.files
    elif path.is_dir():
        files = [f for f in path.iterdir() if is_storage(f)]
    else:
        files = [path]
    states = [file.stat() for file in files]
    newest = max((s.st_mtime_ns for s in states), default=0)
    return [path.name, len(files), sum(s.st_size for s in states), newest]
