"""What it costs to get the regions of 1920x1080 frames as RGB, against converting all of them.

    .venv/bin/python scripts/measure_decoding.py

Processor time of one thread, which other loads disturb less than the clock; what is compared
takes turns. Regions: the tiles of the default band, rows 40 to 60 %, and one tile amid the image.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.config import DecodingConfig, RegionConfig
from tasksr_ros.decoding import CompressedFrame, decode_image
from tasksr_ros.frames import ENCODINGS, Frame, crop_rgb
from tasksr_ros.generated_drive import DriveConfig, GeneratedDrive
from tasksr_ros.regions import Tile, distant_band, tiles

SIZE = (1920, 1080)
REGION = (320, 96)
BANDS = {"band": RegionConfig(), "tile": RegionConfig(top=0.46, bottom=0.54, left=0.45, right=0.6)}


def medians_ms(calls: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Median processor time of each, called in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeat):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append((time.process_time() - start) * 1e3)
    return {name: statistics.median(found) for name, found in times.items()}


def look(frame: Frame, covered: list[Tile]) -> NDArray[np.uint8]:
    """The regions, as the pipeline gets them."""
    pixels = frame.decoded(bottom=max(tile.rect.y1 for tile in covered))
    return np.stack([tile.pixels(pixels, REGION) for tile in covered])


def imdecode(data: bytes) -> NDArray[np.uint8]:
    """The whole image, by OpenCV."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def whole_file(data: bytes) -> NDArray[np.uint8]:
    """The whole image, by the package."""
    return CompressedFrame(data).decoded().image


def look_at_file(data: bytes, covered: list[Tile]) -> NDArray[np.uint8]:
    """Regions of a file, of which no more rows are decoded."""
    return look(CompressedFrame(data, "", DecodingConfig(needed_rows_only=True)), covered)


def whole(frame: Frame) -> NDArray[np.uint8]:
    """All of a raw frame as RGB of its own."""
    return np.array(crop_rgb(frame, 0, 0, *frame.size))


def noise(encoding: str) -> Frame:
    """A raw frame of random samples."""
    (width, height), known = SIZE, ENCODINGS[encoding]
    step = width * known.bytes_per_pixel
    data = np.random.default_rng(0).integers(0, 256, step * known.rows(height), np.uint8)
    return Frame(decode_image(height, width, encoding, step, data), encoding=encoding)


def picture(path: str | None) -> NDArray[np.uint8]:
    """(H, W, 3) BGR of the measured size."""
    if path is not None:
        return np.asarray(
            cv2.resize(cv2.imread(path), SIZE, interpolation=cv2.INTER_AREA), np.uint8
        )
    config = DriveConfig(width=SIZE[0], height=SIZE[1], num_frames=1)
    return GeneratedDrive(config).frame(0)[0].image


def files(image: NDArray[np.uint8]) -> dict[str, bytes]:
    """The picture as files."""
    flags = {
        "JPEG, quality 80": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80]),
        "JPEG, quality 95": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        "progressive JPEG": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        "PNG": (".png", []),
        "WebP, quality 80": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    }
    return {n: cv2.imencode(suffix, image, f)[1].tobytes() for n, (suffix, f) in flags.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=31)
    parser.add_argument("--image", help="picture to compress instead of a generated street")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    band, tile = (tiles(distant_band(SIZE, c, None), SIZE, REGION, 32) for c in BANDS.values())
    print(
        f"band: {len(band)} tiles of {REGION[0]}x{REGION[1]}, to row {band[-1].rect.y1}; "
        f"tile: {len(tile)}, to row {tile[-1].rect.y1}\n"
    )
    print("| file | kB | cv2.imdecode, ms | whole, ms | band, ms | one tile, ms |")
    print("|---|---|---|---|---|---|")
    for name, data in files(picture(arguments.image)).items():
        calls = {
            "opencv": partial(imdecode, data),
            "whole": partial(whole_file, data),
            "band": partial(look_at_file, data, band),
            "tile": partial(look_at_file, data, tile),
        }
        found = medians_ms(calls, arguments.repeat).values()
        print(f"| {name} | {len(data) / 1e3:.0f} |", *(f"{ms:.1f} |" for ms in found))
    print("\n| raw encoding | whole frame, ms | band, ms | one tile, ms |\n|---|---|---|---|")
    for encoding in ENCODINGS:
        frame = noise(encoding)
        calls = {
            "whole": partial(whole, frame),
            "band": partial(look, frame, band),
            "tile": partial(look, frame, tile),
        }
        found = medians_ms(calls, arguments.repeat).values()
        print(f"| {encoding} |", *(f"{ms:.2f} |" for ms in found))


if __name__ == "__main__":
    main()
