"""Mutated messages through the decoder: each gives a frame or ImageError, and nothing else.

The long form, 125,000 messages, beside those of other tests: ``make fuzz SEED=…``.
"""

from __future__ import annotations

import random
import resource
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import dice_of, keep_watch, mutated, stop_watching

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.io.frames import ENCODINGS, Frame, crop_rgb
from tasksr_ros.ros.live.wire import COMPRESSED_IMAGE, IMAGE, Serialized, decode, stamp_of

CONFIGS = [DecodingConfig(300_000, needed_rows_only=part) for part in (False, True)]
MOST_GROWTH = 200 * 2**20
BATCH = 100
TYPES = get_typestore(Stores.ROS2_JAZZY)
LONG = (pytest.mark.soak, pytest.mark.slow)


def header() -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=2), frame_id="camera")


def raw(width: int, height: int, encoding: str, step: int, data: object, big: int = 0) -> Any:
    return SimpleNamespace(
        header=header(), width=width, height=height, encoding=encoding, step=step, data=data,
        is_bigendian=big,
    )  # fmt: skip


def compressed(format_: str, data: bytes) -> Any:
    return SimpleNamespace(header=header(), format=format_, data=np.frombuffer(data, np.uint8))


def files() -> list[bytes]:
    """Small images of every kind that is let through."""
    noise = np.random.default_rng(0).integers(0, 256, (70, 91, 3), np.uint8)
    colour = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    deep = colour.astype(np.uint16) * 257
    clear = np.dstack((colour, colour[..., 0]))
    quality, sampling = cv2.IMWRITE_JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR
    kinds: list[tuple[str, Any, list[int]]] = [
        (".jpg", colour, [quality, 80]),
        (".jpg", colour, [quality, 95, sampling, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
        (".jpg", colour, [quality, 50, sampling, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]),
        (".jpg", colour, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", colour, [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]),
        (".jpg", colour[..., 0], [quality, 60]),
        (".jpg", colour[..., 0], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".png", colour, []),
        (".png", deep, []),
        (".png", clear, []),
        (".png", colour[..., 0], []),
        (".png", deep[..., 0], []),
        (".png", colour[..., 0], [cv2.IMWRITE_PNG_BILEVEL, 1]),
        (".webp", colour, [cv2.IMWRITE_WEBP_QUALITY, 80]),
        (".webp", colour, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".webp", clear, [cv2.IMWRITE_WEBP_QUALITY, 80]),
    ]
    return [cv2.imencode(suffix, image, flags)[1].tobytes() for suffix, image, flags in kinds]


FILES = files()
FORMATS = (
    "jpeg", "png", "webp", "", "bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed rgb8",
    "mono16; png compressed ", "bayer_rggb8; png compressed ", "bayer_grbg16; png compressed ",
    "bayer_; png compressed ", "16UC1; compressedDepth png",
)  # fmt: skip


def raw_frames() -> list[Any]:
    random_bytes = np.random.default_rng(1).integers(0, 256, 20_000, np.uint8)
    messages = []
    for encoding, known in ENCODINGS.items():
        step = 32 * known.bytes_per_pixel + 3
        messages.append(raw(32, 20, encoding, step, random_bytes[: step * known.rows(20)]))
    return messages


def spliced(data: bytes, other: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the right checksums again, so that its decoder is reached."""
    content, position = bytearray(data), 8
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[position + 4 : end]))
        position = end + 4
    return bytes(content)


def mutated_file(dice: random.Random) -> Any:
    data = dice.choice(FILES)
    if dice.random() < 0.1:
        data = spliced(data, dice.choice(FILES), dice)
    data = mutated(data, dice)
    if data.startswith(b"\x89PNG") and dice.random() < 0.8:
        data = with_checksums(data)
    return compressed(dice.choice(FORMATS), data)


def mutated_raw(dice: random.Random) -> Any:
    message = dice.choice(raw_frames())
    for name in ("width", "height", "step"):
        if dice.random() < 0.4:
            value = getattr(message, name)
            choices = (0, value - 1, value + 1, value * 2, 2**31, 2**32 - 1, dice.getrandbits(32))
            setattr(message, name, dice.choice(choices))
    if dice.random() < 0.3:
        message.encoding = dice.choice((*ENCODINGS, "8UC3", "", "rgb8\0", "é" * 300))
    if dice.random() < 0.3:
        message.data = message.data[: dice.randrange(len(message.data))]
    message.is_bigendian = dice.choice((0, 1, 255))
    return message


def mutated_wire(dice: random.Random) -> Serialized:
    """A message whose serialized bytes were mutated, as the node takes them."""
    kind = dice.choice((IMAGE, COMPRESSED_IMAGE))
    time = TYPES.types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    fields: dict[str, Any]
    fields = {"header": TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id="camera")}
    if kind == IMAGE:
        source = vars(dice.choice(raw_frames()))
        fields.update({name: value for name, value in source.items() if name != "header"})
    else:
        data = np.frombuffer(dice.choice(FILES), np.uint8)
        fields.update(format=dice.choice(FORMATS), data=data)
    wire = bytes(TYPES.serialize_cdr(TYPES.types[kind](**fields), kind))
    return Serialized(kind, mutated(wire, dice))


def decoded(message: Any, dice: random.Random) -> Frame:
    config = dice.choice(CONFIGS)
    if isinstance(message, Serialized):
        stamp_of(message)
        return decode(message, config)[1]
    return decode_message(message, config)


def outcome(message: Any, dice: random.Random) -> str:
    """Decode as the pipeline does; what is accepted must be right in itself."""
    try:
        frame = decoded(message, dice)
        width, height = frame.size
        y0 = dice.randrange(height)
        y1 = dice.randint(y0 + 1, height)
        x0 = dice.randrange(width)
        x1 = dice.randint(x0 + 1, width)
        crop = crop_rgb(frame.decoded(y1), x0, y0, x1, y1)
    except ImageError as error:
        assert 10 < len(str(error)) < 500, error
        return "rejected"
    assert (crop.shape, crop.dtype) == ((y1 - y0, x1 - x0, 3), np.uint8)
    try:
        whole = whole_rgb(frame)
    except ImageError:
        return "damaged below the rows"
    assert whole.shape == (height, width, 3)
    assert np.array_equal(crop, whole[y0:y1, x0:x1])
    return "accepted"


def whole_rgb(frame: Frame) -> Any:
    return crop_rgb(frame.decoded(), 0, 0, *frame.size)


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """End the process, with a trace, where a batch of messages hangs."""
    yield
    stop_watching()


@pytest.mark.parametrize("mutate", [mutated_file, mutated_raw, mutated_wire])
@pytest.mark.parametrize("count", [400, pytest.param(25_000, marks=LONG)])
def test_mutated_bytes(mutate: Any, count: int) -> None:
    counts: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(count):
        if seed % BATCH == 0:
            keep_watch()
        dice = dice_of(mutate.__name__, seed)
        try:
            counts[outcome(mutate(dice), dice)] += 1
        except Exception as error:
            raise AssertionError(f"{mutate.__name__}, seed {seed}: {error!r}") from error
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(dict(counts), f"growth {growth / 2**20:.0f} MB")
    assert growth < MOST_GROWTH
    assert min(counts["accepted"], counts["rejected"]) > count / 100, counts


SIZES = st.one_of(st.integers(0, 40), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]))


@st.composite
def raw_messages(draw: st.DrawFn) -> Any:
    encoding = draw(st.one_of(st.sampled_from(list(ENCODINGS)), st.text(max_size=20)))
    width, height = draw(SIZES), draw(SIZES)
    known = ENCODINGS.get(encoding, ENCODINGS["rgb8"])
    step = max(0, width * known.bytes_per_pixel + draw(st.sampled_from([0, 0, 1, 5, -1, 999])))
    length = max(0, step * known.rows(height) + draw(st.sampled_from([0, 0, 0, -1, 1, 100])))
    data = np.resize(np.frombuffer(draw(st.binary(max_size=50)) or b"\0", np.uint8), length % 2**18)
    return raw(width, height, encoding, step, data, draw(st.integers(0, 255)))


EDITS = st.lists(
    st.tuples(st.integers(0, 2**14), st.integers(0, 60), st.binary(max_size=40)), max_size=6
)


@st.composite
def compressed_messages(draw: st.DrawFn) -> Any:
    data = draw(st.sampled_from(FILES))
    for at, length, new in draw(EDITS):
        at %= len(data) + 1
        data = data[:at] + new + data[at + length :]
    if data.startswith(b"\x89PNG"):
        data = with_checksums(data)
    return compressed(draw(st.one_of(st.sampled_from(FORMATS), st.text(max_size=30))), data)


def check_examples(count: int) -> None:
    def settle(test: Any) -> Any:
        health = [HealthCheck.too_slow, HealthCheck.data_too_large]
        return settings(
            max_examples=count, deadline=None, derandomize=True, database=None,
            suppress_health_check=health,
        )(test)  # fmt: skip

    @settle
    @given(st.one_of(raw_messages(), compressed_messages()), st.randoms(use_true_random=False))
    def decode(message: Any, dice: random.Random) -> None:
        keep_watch()
        outcome(message, dice)

    decode()


@pytest.mark.parametrize("count", [100, pytest.param(5_000, marks=LONG)])
def test_messages_of_hypothesis(count: int) -> None:
    check_examples(count)
