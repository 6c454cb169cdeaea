"""What a budget of regions costs in recall: recordings replayed with it and without.

Each recording is a folder with ``ground_truth.json`` (COCO, with ``stamp_ns`` of the images) that
``tasksr replay`` takes; a finished replay is not run again. Recall is that of people of 12 to
60 px at IoU .3, at a number of false positives per image of such people.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.yardstick_figures import FAR, Matched, match_file, pooled
from tasksr_ros.benchmarks.config import BUNDLE
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import EvaluationConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.bootstrap import interval, sample
from tasksr_ros.evaluation.evaluate import evaluate
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.matching import Floats, Ints
from tasksr_ros.evaluation.metrics import Matches
from tasksr_ros.evaluation.samplers import Draws, OperatingSampler
from tasksr_ros.evaluation.summary import Interval, Tracks
from tasksr_ros.options import option
from tasksr_ros.replay.job import Job
from tasksr_ros.replay.run import replay
from tasksr_ros.replay.run_file import beside

BLOCK_NS = 1_000_000_000
"""Images of one second are alike: they are drawn together."""


@dataclass(frozen=True)
class AttentionBenchmarkConfig:
    """What a budget of regions costs in recall: recordings replayed with it and without."""

    recordings: tuple[str, ...] = option(
        ("",), "folders of images with ground_truth.json; must be given"
    )
    budgets: tuple[int, ...] = option((2, 1), "values of region.budget", low=1)
    region: str = option("far", "far, full or a YAML file, as of tasksr replay")
    revisit: float = option(2.0, "region.revisit, s", low=0.05, high=60)
    bundle: str = option(BUNDLE, "bundle, name or folder")
    out: str = option("out/attention", "folder for the predictions")
    fppi: float = option(0.3, "false positives per image", low=0.001, high=100)
    samples: int = option(1000, "of the bootstrap over seconds; 0: no intervals", low=0)


@dataclass(frozen=True)
class Row:
    """One budget in one recording, or in all.

    Attributes:
        recording: its folder's name.
        budget: most regions of a frame; 0: all.
        people: boxes of 12 to 60 px.
        recall: of them.
        share: of the recall with all regions.
        share_interval: 95 %, of the same seconds drawn for both.
        first_m: distance at which a person was first found, median, m; None without distances.
        first_share: mean of that over the distance with all regions, of those whom these found.
        engine_share: time in the engines over that with all regions, medians.
    """

    recording: str
    budget: int
    people: int
    recall: float
    share: float
    share_interval: Interval
    first_m: float | None
    first_share: float | None
    engine_share: float | None


COLUMNS: Columns = {
    "recording": lambda r: r.recording,
    "budget": lambda r: str(r.budget or "all"),
    "people": lambda r: str(r.people),
    "recall": lambda r: f"{r.recall:.3f}",
    "of all regions'": lambda r: f"{r.share:.3f}{_text(r.share_interval)}",
    "first found, m": lambda r: "-" if r.first_m is None else f"{r.first_m:.1f}",
    "of all regions' ": lambda r: "-" if r.first_share is None else f"{r.first_share:.3f}",
    "engine time": lambda r: "-" if r.engine_share is None else f"{r.engine_share:.2f}",
}


def _text(span: Interval) -> str:
    return "" if span is None else f" [{span[0]:.3f}, {span[1]:.3f}]"


def benchmark_attention(config: AttentionBenchmarkConfig) -> list[Row]:
    """Replay each recording with all regions and with each budget.

    Raises:
        TaskSRError: if a recording or a value does not serve.
    """
    folders = [Path(name) for name in config.recordings if name]
    if not folders:
        raise ConfigError("recordings must name at least one folder with ground_truth.json")
    looks = [_looks(folder, config) for folder in folders]
    named = [(folder.name, [look]) for folder, look in zip(folders, looks, strict=True)]
    if len(looks) > 1:
        named.append(("all", looks))
    return [
        _row(name, [(look[0], look[k]) for look in some], budget, config)
        for name, some in named
        for k, budget in enumerate((0, *config.budgets))
    ]


@dataclass(frozen=True, eq=False)
class _Look:
    """A recording with one budget.

    Attributes:
        matched: its detections.
        first_m: distance at which each track was first found, m.
        engine_ms: of each frame.
        block: (images,) which are drawn together.
    """

    matched: Matched
    first_m: dict[object, float]
    engine_ms: list[float]
    block: Ints


def _looks(folder: Path, config: AttentionBenchmarkConfig) -> list[_Look]:
    """With all regions, then with each budget."""
    file = folder / "ground_truth.json"
    stamps = [image.get("stamp_ns") for image in read_ground_truth(file).images]
    if not stamps or None in stamps:
        raise ConfigError(f"{file} must state the stamp_ns of each image")
    found = [_replayed(folder, file, budget, config) for budget in (0, *config.budgets)]
    runs = evaluate(file, found, EvaluationConfig(fppi=config.fppi, samples=0))["runs"]
    block = (np.array(stamps, np.int64) - min(stamps)) // BLOCK_NS
    return [
        _Look(match_file(file, one), _first_m(run["tracks"]), _engine_ms(one), block)
        for one, run in zip(found, runs, strict=True)
    ]


def _replayed(folder: Path, truth: Path, budget: int, config: AttentionBenchmarkConfig) -> Path:
    file = Path(config.out) / f"{folder.name}-{budget}-{config.revisit:g}.json"
    values = {"region.budget": budget, "region.revisit": config.revisit}
    replay(Job(folder, file, config.bundle, config.region, values, ground_truth=(str(truth),)))
    return file


def _first_m(tracks: Tracks | None) -> dict[object, float]:
    rows = [] if tracks is None else tracks["rows"]
    return {r["track_id"]: r["first_detection_m"] for r in rows if r["first_detection_m"]}


def _engine_ms(file: Path) -> list[float]:
    run = json.loads(beside(file, ".run.json").read_text(encoding="utf-8"))
    return list(run["latency_ms"]["engine"])


def _row(
    name: str,
    pairs: Sequence[tuple[_Look, _Look]],
    budget: int,
    config: AttentionBenchmarkConfig,
) -> Row:
    """Of one budget; ``pairs`` are each recording with all regions and with it."""
    both = [pooled([pair[k].matched for pair in pairs]).iou30[FAR] for k in (0, 1)]
    block, first = [], 0
    for whole, _ in pairs:
        block.append(whole.block + first)
        first = int(block[-1].max()) + 1
    drawn_together = np.concatenate(block)
    recall, share, span = shares(both[0], both[1], config.fppi, drawn_together, config.samples)
    first_shares = [
        part.first_m.get(track, 0.0) / m
        for whole, part in pairs
        for track, m in whole.first_m.items()
    ]
    own = [m for _, part in pairs for m in part.first_m.values()]
    ms = [[t for pair in pairs for t in pair[k].engine_ms] for k in (0, 1)]
    return Row(
        recording=name,
        budget=budget,
        people=len(both[0].height),
        recall=recall,
        share=share,
        share_interval=span if budget else None,
        first_m=float(np.median(own)) if own else None,
        first_share=float(np.mean(first_shares)) if first_shares else None,
        engine_share=float(np.median(ms[1]) / np.median(ms[0])),
    )


def shares(
    whole: Matches, part: Matches, fppi: float, block: Ints, samples: int
) -> tuple[float, float, Interval]:
    """Recall of ``part`` at ``fppi``, its share of that of ``whole``, and the share's interval.

    Args:
        whole: of all regions.
        part: of some, of the same images.
        fppi: false positives per image.
        block: (images,) which are drawn together.
        samples: that are drawn.
    """
    samplers = [
        OperatingSampler(m, fppi, 0.5, np.full(len(m.height), np.nan), []) for m in (whole, part)
    ]

    def recalls(draws: Draws) -> Floats:
        return np.array([sampler(draws)[0] for sampler in samplers])

    of_all, of_part = recalls(np.ones(whole.num_images, np.int32))
    span: Interval = None
    if samples:
        drawn = sample(recalls, block, samples, seed=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            span = interval(drawn[:, 1] / drawn[:, 0], 0.95)
    return float(of_part), float(of_part / of_all) if of_all else math.nan, span


def bars(rows: list[Row]) -> list[Bar]:
    """Recall."""
    return [
        Bar(r.recording, f"budget {r.budget or 'all'}", r.recall, f"{r.recall:.3f}") for r in rows
    ]


BENCHMARK = Benchmark(
    "attention",
    AttentionBenchmarkConfig,
    benchmark_attention,
    COLUMNS,
    bars,
    "recall of people of 12 to 60 px",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
