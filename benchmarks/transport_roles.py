"""The processes of `transport`: one sends images, one receives them as the node does."""

from __future__ import annotations

import argparse
import array
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

TOPIC = "benchmark_transport/image"
DISCOVERY_S = 30.0
SETTLE_S = 1.0


def qos(delivery: str, depth: int) -> QoSProfile:
    """Of the sender or of the receiver."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy[delivery.upper()])


def send(arguments: argparse.Namespace) -> None:
    """Send the images on time; what is late is sent at once."""
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
    ages_ms: list[float] = []

    def on_image(image: Any) -> None:
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


def wait_until(condition: Callable[[], object], what: str) -> None:
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("send", "receive"))
    parser.add_argument("--delivery", required=True)
    for name, kind in (("frames", int), ("rate", float), ("width", int), ("height", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    send(given) if given.role == "send" else receive(given)
