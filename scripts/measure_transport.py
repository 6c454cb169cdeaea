"""How many raw images reach a subscriber, and when, with and without the profile of config/dds.

    .venv/bin/python scripts/measure_transport.py --repeat 3 --json out/transport.json

Two processes of their own for each setting: one sends 1920x1080 bgr8 at 30 Hz, one receives as
the node does, keeping only the latest. The settings take turns, so that a load that comes and goes
meets them alike.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WHEELS_HOOK_RAN = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
TOPIC = "measure_transport/image"
DISCOVERY_S = 30.0
SETTLE_S = 1.0
SETTINGS = ("default", "profile", "profile and allocator")
DELIVERIES = ("best_effort", "reliable")


def environment(setting: str, domain: int) -> dict[str, str]:
    """Of the processes of one setting; without what this process was given of its own."""
    from tasksr_ros.transport import transport_environment

    ours = transport_environment(ROOT, {})
    bare = {name: value for name, value in os.environ.items() if name not in ours}
    if bare.pop(WHEELS_HOOK_RAN, None):  # the child's own hook sets LD_LIBRARY_PATH again
        bare.pop("LD_LIBRARY_PATH", None)
    bare |= {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if setting == "default":
        return bare
    if setting == "profile":
        ours = {name: value for name, value in ours.items() if "PROFILES" in name}
    return bare | ours


def qos(delivery: str, depth: int) -> Any:
    """Of the sender or of the receiver."""
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=depth, reliability=ReliabilityPolicy[delivery.upper()])


def send(arguments: argparse.Namespace) -> None:
    """Send the images on time; what is late is sent at once."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("sender")
    publisher = node.create_publisher(Image, TOPIC, qos(arguments.delivery, 5))
    wait_until(lambda: publisher.get_subscription_count() > 0, "a subscriber")
    time.sleep(SETTLE_S)
    step = arguments.width * 3
    image = Image(height=arguments.height, width=arguments.width, encoding="bgr8", step=step)
    image.data = array.array("B", bytes(step * arguments.height))
    start = time.monotonic()
    for index in range(arguments.frames):
        time.sleep(max(0.0, start + index / arguments.rate - time.monotonic()))
        seconds, nanoseconds = divmod(time.monotonic_ns(), 1_000_000_000)
        image.header.stamp.sec, image.header.stamp.nanosec = seconds, nanoseconds
        publisher.publish(image)
    time.sleep(SETTLE_S)
    rclpy.shutdown()


def receive(arguments: argparse.Namespace) -> None:
    """Count the images until the sender is gone; print the figures as JSON."""
    import rclpy
    from sensor_msgs.msg import Image

    ages_ms: list[float] = []

    def on_image(image: Image) -> None:
        sent_ns = image.header.stamp.sec * 1_000_000_000 + image.header.stamp.nanosec
        ages_ms.append((time.monotonic_ns() - sent_ns) / 1e6)

    rclpy.init()
    node = rclpy.create_node("receiver")
    subscription = node.create_subscription(Image, TOPIC, on_image, qos(arguments.delivery, 1))
    wait_until(lambda: subscription.get_publisher_count() > 0, "a publisher")
    used = processor_s()
    start = time.monotonic()
    while subscription.get_publisher_count() > 0:
        rclpy.spin_once(node, timeout_sec=0.5)
    ages_ms.sort()
    figures = {
        "received": len(ages_ms),
        "median_ms": statistics.median(ages_ms) if ages_ms else None,
        "p95_ms": ages_ms[int(0.95 * len(ages_ms))] if ages_ms else None,
        "cores": (processor_s() - used) / (time.monotonic() - start),
    }
    print(json.dumps(figures))
    rclpy.shutdown()


def wait_until(condition: Any, what: str) -> None:
    """Return when the condition holds; exit with an error after `DISCOVERY_S`."""
    end = time.monotonic() + DISCOVERY_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"expected {what} within {DISCOVERY_S:.0f} s, got none")
        time.sleep(0.05)


def processor_s() -> float:
    """Processor time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(setting: str, delivery: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run."""
    command = [sys.executable, __file__, "--delivery", delivery]
    for name in ("frames", "rate", "width", "height"):
        command += [f"--{name}", str(getattr(arguments, name))]
    env = environment(setting, arguments.domain)
    limit_s = arguments.frames / arguments.rate * 2 + 3 * DISCOVERY_S
    with subprocess.Popen([*command, "--role", "send"], env=env) as sender:
        try:
            run = subprocess.run(
                [*command, "--role", "receive"], env=env, capture_output=True, text=True,
                timeout=limit_s, check=True,
            )  # fmt: skip
            sender.wait(timeout=limit_s)
        finally:
            sender.kill()
    figures = {**json.loads(run.stdout.splitlines()[-1]), "load": os.getloadavg()[0]}
    return {"setting": setting, "delivery": delivery, "sent": arguments.frames, **figures}


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    ages = [result["median_ms"], result["p95_ms"]]
    shown = " / ".join("none" if age is None else f"{age:.1f}" for age in ages)
    return (
        f"| {result['setting']} | {result['delivery']} | {result['received']}/{result['sent']} "
        f"| {shown} | {result['cores']:.2f} | {result['load']:.0f} |"
    )


def main() -> None:
    """Measure every setting, or take a role in one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rate", type=float, default=30.0, help="Hz")
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--domain", type=int, default=77, help="ROS_DOMAIN_ID of the runs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", choices=("send", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--delivery", choices=DELIVERIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role is not None:
        return send(arguments) if arguments.role == "send" else receive(arguments)
    print("| setting | delivery | received | age, median / p95, ms | receiver, cores | load |")
    print("|---|---|---|---|---|---|", flush=True)
    results = []
    for _ in range(arguments.repeat):
        for delivery in DELIVERIES:
            for setting in SETTINGS:
                results.append(measure(setting, delivery, arguments))
                print(row(results[-1]), flush=True)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1))
    return None


if __name__ == "__main__":
    main()
