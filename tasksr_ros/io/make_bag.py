"""A recording of any kind as a rosbag2 that `ros2 bag play` plays."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from tqdm import tqdm

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.io.bags import CAMERA_INFO, COMPRESSED, IMAGE, camera_info_topics
from tasksr_ros.io.frames import Frame, to_bgr, with_whole_pixels
from tasksr_ros.io.message_types import Message, header, message_types
from tasksr_ros.io.recording import Encoded, Readable, Recording, length
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.sample_range import SampleRange

PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_TOPIC = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
JPEG_QUALITY = 90
"""Of images that are not stored as JPEG or PNG, 1 to 100."""


def make_bag(
    source: str | Path | Recording,
    out: str | Path,
    storage: Literal["mcap", "sqlite3"] = "mcap",
    compressed: bool = False,
    camera: CameraModel | None = None,
    topic: str = "/camera/image",
    jpeg_quality: int = JPEG_QUALITY,
) -> Path:
    """Write a bag of one camera; return its folder.

    Args:
        source: whatever `open_recording` opens, or a recording.
        out: the bag's folder; must not exist.
        storage: "mcap" or "sqlite3".
        compressed: write CompressedImage on ``topic``/compressed; images that are stored as JPEG
            or PNG keep their bytes, others become JPEG.
        camera: written as CameraInfo beside each image; the recording's own where None.
        topic: of the images.
        jpeg_quality: 1 to 100, for images that are not stored as JPEG or PNG.

    Raises:
        RecordingError: where the source is unreadable or ``out`` exists. Single images that are
            unreadable are left out, and a line says so.
        ConfigError: for an unknown storage or a topic that is no absolute name.
    """
    if storage not in PLUGINS:
        raise ConfigError(f"storage must be one of {', '.join(PLUGINS)}, got {storage!r}")
    if not _TOPIC.fullmatch(topic):
        raise ConfigError(
            f"topic must be absolute, like /camera/image, each part of letters, digits and _, "
            f"none beginning with a digit, got {topic!r}"
        )
    if storage == "sqlite3" and (odd := re.search("[#?%]", str(out))):
        raise ConfigError(f"a bag of sqlite3 must have no {odd.group()!r} in its path, got {out}")
    recording = source if isinstance(source, Recording) else open_recording(source)
    try:
        writer = Writer(out, version=9, storage_plugin=PLUGINS[storage])
        with removed_on_error(Path(out)), writer:
            _write(writer, recording, compressed, camera or recording.camera, topic, jpeg_quality)
    except (WriterError, OSError) as error:
        raise RecordingError(f"bag {out} cannot be written: {error}") from error
    return Path(out)


@contextmanager
def removed_on_error(folder: Path) -> Iterator[None]:
    """Leave no half-written bag behind."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(
    writer: Writer,
    recording: Recording,
    compressed: bool,
    camera: CameraModel | None,
    topic: str,
    jpeg_quality: int,
) -> None:
    topics = CameraTopics(writer, topic, camera, compressed=compressed, jpeg_quality=jpeg_quality)
    samples = SampleRange()
    frames = Readable(recording, lambda item: item.encoded() if compressed else item.load())
    with tqdm(frames, total=length(recording), desc="make-bag", unit="frame") as bar:
        for item in bar:
            if isinstance(item, Frame):
                samples.look(item)
            topics.write(item)
    samples.conclude()
    frames.tell()


class CameraTopics:
    """The topics of one camera in a bag that is being written.

    Args:
        writer: of the bag.
        topic: of the images, without the ending /compressed.
        camera: written as CameraInfo beside each image, unless None.
        compressed: write CompressedImage on ``topic``/compressed; a frame becomes JPEG.
        jpeg_quality: 1 to 100.
    """

    def __init__(
        self,
        writer: Writer,
        topic: str,
        camera: CameraModel | None,
        *,
        compressed: bool,
        jpeg_quality: int = JPEG_QUALITY,
    ) -> None:
        self._writer = writer
        self._compressed = compressed
        self._camera = camera
        self._jpeg_quality = jpeg_quality
        if compressed:
            self._images = connect(writer, f"{topic}/compressed", COMPRESSED)
        else:
            self._images = connect(writer, topic, IMAGE)
        if camera is not None:
            self._infos = connect(writer, camera_info_topics(topic)[0], CAMERA_INFO)

    def write(self, item: Encoded | Frame) -> None:
        """Append an image; only a camera of compressed images takes an encoded one."""
        if self._compressed:
            message = _compressed_message(item, self._jpeg_quality)
        else:
            assert isinstance(item, Frame)
            message = _image_message(item)
        append(self._writer, self._images, item.stamp_ns, message)
        if self._camera is not None:
            info = _camera_info(item, self._camera)
            append(self._writer, self._infos, item.stamp_ns, info)


def connect(writer: Writer, topic: str, msgtype: str) -> Connection:
    """Add a topic to a bag."""
    return writer.add_connection(topic, msgtype, typestore=message_types())


def append(writer: Writer, connection: Connection, stamp_ns: int, message: Message) -> None:
    """Append a message to a topic of a bag, recorded at its stamp."""
    data = message_types().serialize_cdr(message, connection.msgtype)
    writer.write(connection, stamp_ns, data)


def _header(item: Encoded | Frame) -> Message:
    return header(item.stamp_ns, item.frame_id)


def _image_message(frame: Frame) -> Message:
    frame = with_whole_pixels(frame)
    width, height = frame.size
    data = np.ascontiguousarray(frame.image).reshape(-1)
    return message_types().types[IMAGE](
        header=_header(frame),
        height=height,
        width=width,
        encoding=frame.encoding,
        is_bigendian=0,
        step=width * frame.image.shape[2],
        data=data,
    )


def _compressed_message(item: Encoded | Frame, jpeg_quality: int) -> Message:
    stored = item if isinstance(item, Encoded) else to_jpeg(item, jpeg_quality)
    data = np.frombuffer(stored.data, np.uint8)
    return message_types().types[COMPRESSED](header=_header(item), format=stored.format, data=data)


def to_jpeg(frame: Frame, quality: int = JPEG_QUALITY) -> Encoded:
    """A frame as a JPEG file."""
    image = frame.image if frame.encoding == "mono8" else to_bgr(frame)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Encoded(np.asarray(data, np.uint8).tobytes(), "jpeg", frame.stamp_ns, frame.frame_id)


def _camera_info(item: Encoded | Frame, camera: CameraModel) -> Message:
    k = [camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1]
    p = [*k[:3], 0, *k[3:6], 0, *k[6:], 0]
    roi = message_types().types["sensor_msgs/msg/RegionOfInterest"]
    return message_types().types[CAMERA_INFO](
        header=_header(item),
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion or "plumb_bob",
        d=np.array(camera.coefficients or [0.0] * 5, float),
        k=np.array(k, float),
        r=np.eye(3).reshape(-1),
        p=np.array(p, float),
        binning_x=0,
        binning_y=0,
        roi=roi(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )
