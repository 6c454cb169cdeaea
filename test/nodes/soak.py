"""Hours of overload in one command: the real node, the default engine, two cameras.

    make soak SECONDS=3600

Finds how many frames per second the node can do, sends twice as many (``--load``), one in a
hundred of them broken, and watches the node's memory, threads, files and the age of what it
publishes. Every answer is compared with what the offline pipeline says of that image. Ends with
status 1 if a limit is broken; the figures go to out/soak.json and a row of docs/RELIABILITY.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from ros_client import Client, Diagnostics, header, start, values
from sensor_msgs.msg import Image
from tqdm import tqdm
from vision_msgs.msg import Detection2DArray

from tasksr_ros.config import EngineConfig, NodeConfig
from tasksr_ros.detections import Detections
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import load_model
from tasksr_ros.options import build
from tasksr_ros.ros import messages
from tasksr_ros.ros.transport import transport_environment

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = ("front", "left")
NUM_IMAGES = 6
BROKEN_EVERY = 100
SIZE = (640, 360)
BAND = {"region.right": 0.5}
"""One region of the shipped bundles."""
SCORE = 0.15
"""Low enough for boxes to be found in textures."""
LOAD = 2.0
CALIBRATION_S = 20.0
CALIBRATION_HZ = 30.0
MAX_GROWTH_MB = 10.0
ROW = "<!-- soak: rows are added by make soak -->\n"


@dataclass
class Measured:
    """One second of the node's life."""

    at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def add(self, at_s: float, pid: int) -> None:
        process = Path(f"/proc/{pid}")
        pages = int((process / "statm").read_text().split()[1])
        self.at_s.append(at_s)
        self.rss_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        self.threads.append(len(list((process / "task").iterdir())))
        self.files.append(len(list((process / "fd").iterdir())))

    def medians(self, begin_s: float, end_s: float) -> dict[str, float]:
        """Of a span of time."""
        chosen = [begin_s <= at_s <= end_s for at_s in self.at_s]
        return {
            name: float(
                np.median([v for v, c in zip(getattr(self, name), chosen, strict=True) if c])
            )
            for name in ("rss_mb", "threads", "files")
        }


class Soak:
    """Sends images and checks what is answered."""

    def __init__(
        self, client: Client, images: list[np.ndarray], expected: list[Detections]
    ) -> None:
        self._client = client
        self._images = images
        self._expected = expected
        self.sent = dict.fromkeys(CAMERAS, 0)
        self.checked = 0
        self.wrong: list[str] = []
        self.delay_ms: list[tuple[float, float]] = []
        self.most_waited_ms = 0.0
        for camera in CAMERAS:
            client.node.create_subscription(
                Detection2DArray, f"{camera}/detections", self._check, 50
            )
            client.node.create_subscription(DiagnosticArray, f"{camera}/latency", self._delay, 50)

    def _check(self, array: Detection2DArray) -> None:
        _, number = array.header.frame_id.split()
        expected, received = self._expected[int(number)], messages.from_detection_array(array)
        self.checked += 1
        same = received.xyxy.shape == expected.xyxy.shape and np.allclose(
            received.xyxy, expected.xyxy, atol=1e-2
        )
        if not same:
            self.wrong.append(array.header.frame_id)

    def _delay(self, latency: DiagnosticArray) -> None:
        told = values(latency.status[0])
        delay, total = float(told["delay"]), float(told["total"])
        self.delay_ms.append((time.monotonic(), delay))
        self.most_waited_ms = max(self.most_waited_ms, delay - total)

    def send(self, camera: str) -> None:
        count = self.sent[camera]
        number = count % len(self._images)
        stamp = header(self._client, f"{camera} {number}")
        message: Image = messages.to_image(self._images[number], "rgb8", stamp)
        if count % BROKEN_EVERY == BROKEN_EVERY - 1:
            message.height += 1  # more rows than there are
        self._client.publish(message, f"{camera}/image")
        self.sent[camera] += 1

    def play(
        self, rate_hz: float, seconds: float, process: subprocess.Popen[str], log: Measured
    ) -> None:
        """Send at this rate from all cameras together."""
        begin_s = time.monotonic()
        due_s = next_s = begin_s
        turn = 0
        with tqdm(total=round(seconds), unit="s", desc=f"{rate_hz:.1f} Hz") as bar:
            while (now_s := time.monotonic()) < begin_s + seconds:
                if process.poll() is not None:
                    raise SystemExit(f"the node ended with status {process.returncode}")
                if now_s >= next_s:
                    log.add(now_s, process.pid)
                    bar.update(round(now_s - begin_s) - bar.n)
                    next_s += 1.0
                if now_s >= due_s:
                    self.send(CAMERAS[turn % len(CAMERAS)])
                    turn += 1
                    due_s = max(due_s + 1 / rate_hz, now_s - 1.0)
                self._client.spin(min(0.05, max(0.001, due_s - time.monotonic())))


def main() -> int:
    options = _options()
    ours = {"ROS_DOMAIN_ID": "86", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    missing = {**ours, **transport_environment(ROOT, os.environ)}.keys() - os.environ.keys()
    if missing:  # Fast DDS and the allocator read their settings when a process starts
        environment = {**ours, **transport_environment(ROOT, os.environ), **os.environ}
        environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    parameters: dict[str, Any] = {
        "bundle": options.bundle,
        "cameras": list(CAMERAS),
        "input.reliability": "reliable",
        "engine.threads": 1,
        **BAND,
        "detection.score_threshold": SCORE,
    }
    images = [texture(seed) for seed in range(NUM_IMAGES)]
    expected = offline(images, options.bundle)
    client = Client(int(os.environ["ROS_DOMAIN_ID"]))
    try:
        soak, log = Soak(client, images, expected), Measured()
        with start(dict(os.environ), stderr=None, **parameters) as process:
            result = run(client, soak, log, process, options.seconds, options.load)
    finally:
        client.close()
    return report(result, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="of sending (%(default)g)")
    parser.add_argument(
        "--load", type=float, default=LOAD, help="sent of what is possible (%(default)g)"
    )
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "soak.json")
    parser.add_argument("--record", type=Path, help="table to add a row to")
    return parser.parse_args()


def texture(seed: int) -> np.ndarray:
    """(H, W, 3) uint8: noise of all sizes, which no two seeds share."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.normal(0.0, 40.0, (SIZE[1] // n, SIZE[0] // n, 3)), SIZE)
        for n in (2, 8, 30)
    ]
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def offline(images: list[np.ndarray], bundle: str) -> list[Detections]:
    """What the pipeline says of each image, without ROS."""
    config = build(NodeConfig, {**BAND, "detection.score_threshold": SCORE})
    pipeline = load_model(bundle, EngineConfig(threads=1)).pipeline(config)
    return [pipeline(Frame(image)) for image in images]


def run(
    client: Client,
    soak: Soak,
    log: Measured,
    process: subprocess.Popen[str],
    seconds: float,
    load: float,
) -> dict[str, Any]:
    diagnostics = Diagnostics(client, keep=50)
    deadline = time.monotonic() + 120.0
    while soak.checked < len(CAMERAS):  # until each side has found the other
        if time.monotonic() > deadline:
            raise SystemExit("soak: no detections within 120 s")
        for camera in CAMERAS:
            soak.send(camera)
        client.spin(1.0)
    begun, before = time.monotonic(), soak.checked
    soak.play(CALIBRATION_HZ, CALIBRATION_S, process, log)
    sustainable_hz = (soak.checked - before) / (time.monotonic() - begun)
    begin_s, before = time.monotonic(), soak.checked
    soak.play(load * sustainable_hz, seconds, process, log)
    end_s, answered = time.monotonic(), soak.checked - before
    warm_s = begin_s + min(120.0, seconds / 4)
    span_s = min(60.0, seconds / 4)
    client.spin(5.0)
    client.wait(lambda: all(diagnostics.count(c, "pending") == 0 for c in CAMERAS), "the rest")
    after_warm_up = log.medians(warm_s, warm_s + span_s)
    at_the_end = log.medians(end_s - span_s, end_s)
    delay = np.array([ms for at_s, ms in soak.delay_ms if at_s >= begin_s])
    thirds = np.array_split(delay, 3)
    return {
        "seconds": round(seconds),
        "load average": os.getloadavg()[1],
        "sustainable Hz": round(sustainable_hz, 2),
        "sent Hz": round(load * sustainable_hz, 2),
        "answered Hz": round(answered / (end_s - begin_s), 2),
        "after warm-up": after_warm_up,
        "at the end": at_the_end,
        "growth MB": round(at_the_end["rss_mb"] - after_warm_up["rss_mb"], 2),
        "delay ms p50/p99/max": [round(float(v), 1) for v in np.percentile(delay, (50, 99, 100))],
        "most ms a frame waited": round(soak.most_waited_ms, 1),
        "delay ms p99 by thirds": [round(float(np.percentile(part, 99)), 1) for part in thirds],
        "sent": soak.sent,
        "checked": soak.checked,
        "wrong": len(soak.wrong),
        "cameras": {camera: account(diagnostics, camera) for camera in CAMERAS},
    }


def account(diagnostics: Diagnostics, camera: str) -> dict[str, int]:
    """The counts of a camera's last status."""
    status = diagnostics[camera]
    assert status is not None
    told = values(status)
    names = ["received", "processed", "pending", *(k for k in told if k.startswith("dropped: "))]
    return {name: int(told[name]) for name in names}


def problems(result: dict[str, Any]) -> list[str]:
    """Every limit that is broken."""
    found = []
    if result["growth MB"] > MAX_GROWTH_MB:
        found.append(f"memory grew by {result['growth MB']} MB")
    for name in ("threads", "files"):
        if result["at the end"][name] > result["after warm-up"][name]:
            found.append(f"{name} grew from {result['after warm-up']} to {result['at the end']}")
    if result["wrong"]:
        found.append(f"{result['wrong']} answers differ from the offline pipeline's")
    if result["most ms a frame waited"] > 1e3 * NodeConfig().schedule.max_age + 100.0:
        found.append(f"a frame waited for {result['most ms a frame waited']} ms")
    for camera, counts in result["cameras"].items():
        dropped = sum(count for name, count in counts.items() if name.startswith("dropped: "))
        if counts["received"] != counts["processed"] + dropped or counts["pending"]:
            found.append(f"{camera}: not accounted for: {counts}")
    processed = [counts["processed"] for counts in result["cameras"].values()]
    if sum(processed) > 200 and min(processed) < 0.9 * max(processed):
        found.append(f"unfair: {processed} frames processed")
    return found


def report(result: dict[str, Any], options: argparse.Namespace) -> int:
    found = problems(result)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**result, "problems": found}, indent=1), encoding="utf-8")
    print(json.dumps(result, indent=1))
    if options.record:
        text = options.record.read_text(encoding="utf-8")
        options.record.write_text(text.replace(ROW, row(result, found) + ROW), encoding="utf-8")
    for problem in found:
        print(f"soak: {problem}", file=sys.stderr)
    return int(bool(found))


def row(result: dict[str, Any], found: list[str]) -> str:
    total = {
        name: sum(counts.get(name, 0) for counts in result["cameras"].values())
        for name in sorted({name for counts in result["cameras"].values() for name in counts})
    }
    dropped = ", ".join(
        f"{count} {name.removeprefix('dropped: ')}"
        for name, count in total.items()
        if name.startswith("dropped: ")
    )
    delay = " / ".join(f"{ms:.0f}" for ms in result["delay ms p50/p99/max"])
    delay += f"; {result['most ms a frame waited']:.0f}"
    warm, end = result["after warm-up"], result["at the end"]
    cells = [
        f"{result['seconds']} s, {os.cpu_count()} x {platform.machine()}, "
        f"load {result['load average']:.0f}",
        f"{result['sustainable Hz']} / {result['sent Hz']} / {result['answered Hz']}",
        f"{total['received']} = {total['processed']} + {dropped}",
        f"{warm['rss_mb']:.0f} → {end['rss_mb']:.0f} ({result['growth MB']:+.1f})",
        f"{warm['threads']:.0f} → {end['threads']:.0f}, {warm['files']:.0f} → {end['files']:.0f}",
        delay,
        f"{result['wrong']} of {result['checked']}",
        "; ".join(found) or "none",
    ]
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    sys.exit(main())
