"""The files that a replay leaves: predictions, what the run says of itself, bag, videos."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import MODEL_SCORE_THRESHOLD, PipelineConfig, RegionConfig
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.recording import Recording
from tasksr_ros.options import build
from tasksr_ros.replay.job import Job
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.outputs import write_bag, write_sheet, write_videos
from tasksr_ros.replay.run_file import (
    beside,
    categories,
    results,
    run_description,
    unnamed_classes,
    write_json,
)
from tasksr_ros.replay.truth_file import TruthImages
from tasksr_ros.replay.truth_images import image_ids

logger = logging.getLogger(__name__)


def write_results(
    job: Job,
    recording: Recording,
    truth: TruthImages | None,
    journal: Journal,
    bundle: Bundle,
    run: Mapping[str, Any],
    regions: Mapping[str, RegionConfig],
) -> None:
    """Write the predictions file, what belongs to it, and the outputs asked for.

    Raises:
        RecordingError: if no frame could be processed, or the ground truth does not fit.
    """
    outcomes = journal.outcomes
    summary = journal.summary or {}
    if all(outcome.error for outcome in outcomes):
        reasons = [*dict.fromkeys(o.error for o in outcomes), *summary.get("warnings", ())]
        raise RecordingError(
            f"none of the {len(outcomes)} frames of {job.input} could be processed"
            + (f": {reasons[0]}" if reasons else "; are --start and --duration within it?")
        )
    ids = image_ids(outcomes, truth, job.input, job.config.tolerance)
    description = {**run, **run_description(outcomes, ids, summary)}
    description["ground_truth"] = {
        "path": str(truth.path) if truth else None,
        "images": len(truth.images) if truth else 0,
        "matched_by": ids.matched_by,
        "tolerance_ms": job.config.tolerance,
        "matched": sum(ids.known),
    }
    notes = [*recording.notes, *ids.notes, *unnamed_classes(bundle.classes, truth)]
    description["warnings"] = [*description.get("warnings", ()), *notes]
    write_json(beside(job.predictions, ".run.json"), description)
    write_json(job.predictions, results(outcomes, ids, categories(bundle.classes, truth)))
    threshold = working_threshold(job, bundle)
    shown = [outcome.above(threshold) for outcome in outcomes]  # what the node would publish
    _report(job, description, sum(len(o.detections) for o in shown), threshold)
    if job.bag:
        write_bag(job.bag, recording, job.config, shown, regions)
    if job.video:
        write_videos(job.video, recording, job.config, shown, regions)
    if job.sheet:
        write_sheet(job.sheet, recording, job.config, shown, regions)


def working_threshold(job: Job, bundle: Bundle) -> float:
    """The score from which the node would publish: as given, else the bundle's."""
    given = build(PipelineConfig, job.values).detection.score_threshold
    return bundle.score_threshold if given == MODEL_SCORE_THRESHOLD else given


def _report(job: Job, run: Mapping[str, Any], published: int, threshold: float) -> None:
    counts, truth = run["counts"], run["ground_truth"]
    total = run["latency_ms"].get("total", [0.0])
    p50, p95 = np.percentile(total, [50, 95])
    logger.info(
        "%d frames, %d detections from the threshold of %.2f on, %d weaker ones kept for the "
        "evaluation; latency median %.0f ms, 95 %% within %.0f ms; in %s",
        counts["processed"],
        published,
        threshold,
        counts["detections"] - published,
        p50,
        p95,
        job.predictions,
    )
    if counts["dropped"]:
        logger.info(
            "%d of %d frames were dropped: no answer came", counts["dropped"], counts["frames"]
        )
    if truth["path"]:
        logger.info(
            "%d of these frames are images of %s (by %s), which has %d",
            counts["with_ground_truth"],
            truth["path"],
            truth["matched_by"],
            truth["images"],
        )
    for entry in run["unreadable"][:5]:
        logger.warning("frame %d not processed: %s", entry["index"], entry["reason"])
    if counts["unreadable"] > 5:
        logger.warning("and %d more, see the .run.json", counts["unreadable"] - 5)
    for warning in run["warnings"]:
        logger.warning("warning: %s", warning)
