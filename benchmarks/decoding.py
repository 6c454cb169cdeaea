"""What it costs to get the regions of 1920x1080 frames as RGB, against converting all of them.

Processor time of one thread, which other loads disturb less than the clock; what is compared
takes turns. Regions: the tiles of the default band, rows 40 to 60 %, and one tile amid the image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.pipeline import picture
from tasksr_ros.benchmarks.timing import time_in_turns
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import DecodingConfig, RegionConfig
from tasksr_ros.io.decoding import CompressedFrame, decode_image
from tasksr_ros.io.frames import ENCODINGS, Frame, crop_rgb
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.options import option
from tasksr_ros.regions import Tile, distant_band, tiles

SIZE = (1920, 1080)
REGION = (320, 96)
BAND = RegionConfig()
ONE_TILE = RegionConfig(top=0.46, bottom=0.54, left=0.45, right=0.6)


@dataclass(frozen=True)
class DecodingBenchmarkConfig:
    """Regions of 1920x1080 frames as RGB, against converting all of them."""

    rounds: int = option(31, "timed calls of each", low=1)
    warm_up: int = option(1, "untimed calls of each before", low=0)
    image: str = option("", "picture to compress; none: a generated street")


@dataclass(frozen=True)
class Row:
    """One kind of frame; medians of processor time.

    Attributes:
        kind: of file, or raw encoding.
        kilobytes: of a file; None of a raw frame, which is random.
        opencv_ms: of a file, the whole image by OpenCV.
        whole_ms: the whole image by the package.
        band_ms: the regions of the default band; of a file, no more rows than needed.
        tile_ms: one region, likewise.
    """

    kind: str
    kilobytes: float | None
    opencv_ms: float | None
    whole_ms: float
    band_ms: float
    tile_ms: float


COLUMNS: Columns = {
    "frame": lambda r: r.kind,
    "kB": lambda r: "-" if r.kilobytes is None else f"{r.kilobytes:.0f}",
    "cv2.imdecode, ms": lambda r: "-" if r.opencv_ms is None else f"{r.opencv_ms:.1f}",
    "whole, ms": lambda r: f"{r.whole_ms:.2f}",
    "band, ms": lambda r: f"{r.band_ms:.2f}",
    "one tile, ms": lambda r: f"{r.tile_ms:.2f}",
}


def benchmark_decoding(config: DecodingBenchmarkConfig) -> list[Row]:
    """Time files of one picture, then random raw frames of every encoding."""
    cv2.setNumThreads(1)
    band, tile = (
        tiles(distant_band(SIZE, region, None), SIZE, REGION, BAND.tile_overlap)
        for region in (BAND, ONE_TILE)
    )
    rows = []
    for kind, kilobytes, calls in [*_of_files(config, band, tile), *_of_raw_frames(band, tile)]:
        taken = time_in_turns(calls, config.rounds, config.warm_up)
        ms = {name: samples.cpu_ms for name, samples in taken.items()}
        rows.append(Row(kind, kilobytes, ms.get("opencv"), ms["whole"], ms["band"], ms["tile"]))
    return rows


Case = tuple[str, float | None, dict[str, Callable[[], object]]]


def _of_files(
    config: DecodingBenchmarkConfig, band: list[Tile], tile: list[Tile]
) -> Iterator[Case]:
    for kind, data in _files(_picture(config.image)).items():
        calls: dict[str, Callable[[], object]] = {
            "opencv": partial(_imdecode, data),
            "whole": partial(_whole_file, data),
            "band": partial(_look_at_file, data, band),
            "tile": partial(_look_at_file, data, tile),
        }
        yield kind, len(data) / 1e3, calls


def _of_raw_frames(band: list[Tile], tile: list[Tile]) -> Iterator[Case]:
    for encoding in ENCODINGS:
        frame = _noise(encoding)
        calls: dict[str, Callable[[], object]] = {
            "whole": partial(_whole, frame),
            "band": partial(_look, frame, band),
            "tile": partial(_look, frame, tile),
        }
        yield encoding, None, calls


def _picture(path: str) -> NDArray[np.uint8]:
    """(H, W, 3) BGR of the measured size."""
    if not path:
        return picture(SIZE, 90)[0]
    frame = next(iter(open_recording(path)))
    rgb = crop_rgb(frame, 0, 0, *frame.size)
    return np.asarray(cv2.resize(rgb[..., ::-1], SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def _files(image: NDArray[np.uint8]) -> dict[str, bytes]:
    """The picture as files."""
    flags = {
        "JPEG, quality 80": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80]),
        "JPEG, quality 95": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        "progressive JPEG": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        "PNG": (".png", []),
        "WebP, quality 80": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    }
    return {n: cv2.imencode(suffix, image, f)[1].tobytes() for n, (suffix, f) in flags.items()}


def _noise(encoding: str) -> Frame:
    """A raw frame of random samples."""
    (width, height), known = SIZE, ENCODINGS[encoding]
    step = width * known.bytes_per_pixel
    data = np.random.default_rng(0).integers(0, 256, step * known.rows(height), np.uint8)
    return Frame(decode_image(height, width, encoding, step, data), encoding=encoding)


def _look(frame: Frame, covered: list[Tile]) -> NDArray[np.uint8]:
    """The regions, as the pipeline gets them."""
    pixels = frame.decoded(bottom=max(tile.rect.y1 for tile in covered))
    return np.stack([tile.pixels(pixels, REGION) for tile in covered])


def _look_at_file(data: bytes, covered: list[Tile]) -> NDArray[np.uint8]:
    return _look(CompressedFrame(data, "", DecodingConfig(needed_rows_only=True)), covered)


def _whole(frame: Frame) -> NDArray[np.uint8]:
    """All of a raw frame as RGB of its own."""
    return np.array(crop_rgb(frame, 0, 0, *frame.size))


def _whole_file(data: bytes) -> NDArray[np.uint8]:
    return CompressedFrame(data).decoded().image


def _imdecode(data: bytes) -> object:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def bars(rows: list[Row]) -> list[Bar]:
    """The whole frame beside its regions."""
    return [
        Bar(r.kind, name, ms, f"{ms:.1f} ms")
        for r in rows
        for name, ms in (("whole", r.whole_ms), ("band", r.band_ms), ("one tile", r.tile_ms))
    ]


BENCHMARK = Benchmark(
    "decoding", DecodingBenchmarkConfig, benchmark_decoding, COLUMNS, bars, "processor time, ms"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
