"""A recording of any kind as a rosbag2 that `ros2 bag play` plays."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from tasksr_ros.bags import CAMERA_INFO, COMPRESSED, IMAGE, camera_info_topics
from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.frames import Frame, to_bgr, with_whole_pixels
from tasksr_ros.recordings import Encoded, Recording, length, open_recording

_PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_TYPES = get_typestore(Stores.ROS2_JAZZY)
Message = Any


def make_bag(
    source: str | Path | Recording,
    out: str | Path,
    storage: Literal["mcap", "sqlite3"] = "mcap",
    compressed: bool = False,
    camera: CameraModel | None = None,
    topic: str = "/camera/image",
    jpeg_quality: int = 90,
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
        RecordingError: where the source is unreadable or ``out`` exists.
        ConfigError: for an unknown storage or a topic that is no absolute name.
    """
    if storage not in _PLUGINS:
        raise ConfigError(f"storage must be one of {', '.join(_PLUGINS)}, got {storage!r}")
    if not topic.startswith("/") or topic.endswith("/"):
        raise ConfigError(f"topic must be absolute, like /camera/image, got {topic!r}")
    recording = source if isinstance(source, Recording) else open_recording(source)
    try:
        writer = Writer(out, version=9, storage_plugin=_PLUGINS[storage])
        with _removed_on_error(Path(out)), writer:
            _write(writer, recording, compressed, camera or recording.camera, topic, jpeg_quality)
    except (WriterError, OSError) as error:
        raise RecordingError(f"bag {out} cannot be written: {error}") from error
    return Path(out)


@contextmanager
def _removed_on_error(folder: Path) -> Iterator[None]:
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
    if compressed:
        images = _connect(writer, f"{topic}/compressed", COMPRESSED)
    else:
        images = _connect(writer, topic, IMAGE)
    infos = _connect(writer, camera_info_topics(topic)[0], CAMERA_INFO) if camera else None
    frames = recording.encoded() if compressed else iter(recording)
    with tqdm(frames, total=length(recording), desc="make-bag", unit="frame") as bar:
        for item in bar:
            if compressed:
                message = _compressed_message(item, jpeg_quality)
            else:
                assert isinstance(item, Frame)
                message = _image_message(item)
            _append(writer, images, item.stamp_ns, message)
            if infos is not None and camera is not None:
                _append(writer, infos, item.stamp_ns, _camera_info(item, camera))


def _connect(writer: Writer, topic: str, msgtype: str) -> Connection:
    return writer.add_connection(topic, msgtype, typestore=_TYPES)


def _append(writer: Writer, connection: Connection, stamp_ns: int, message: Message) -> None:
    writer.write(connection, stamp_ns, _TYPES.serialize_cdr(message, connection.msgtype))


def _header(item: Encoded | Frame) -> Message:
    time = _TYPES.types["builtin_interfaces/msg/Time"]
    stamp = time(sec=item.stamp_ns // 1_000_000_000, nanosec=item.stamp_ns % 1_000_000_000)
    return _TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id=item.frame_id)


def _image_message(frame: Frame) -> Message:
    frame = with_whole_pixels(frame)
    width, height = frame.size
    data = np.ascontiguousarray(frame.image).reshape(-1)
    return _TYPES.types[IMAGE](
        header=_header(frame),
        height=height,
        width=width,
        encoding=frame.encoding,
        is_bigendian=0,
        step=width * frame.image.shape[2],
        data=data,
    )


def _compressed_message(item: Encoded | Frame, jpeg_quality: int) -> Message:
    if isinstance(item, Encoded):
        kind, data = item.format, np.frombuffer(item.data, np.uint8)
    else:
        kind, data = "jpeg", _jpeg(item, jpeg_quality)
    return _TYPES.types[COMPRESSED](header=_header(item), format=kind, data=data)


def _jpeg(frame: Frame, quality: int) -> NDArray[np.uint8]:
    image = frame.image if frame.encoding == "mono8" else to_bgr(frame)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(data, np.uint8).reshape(-1)


def _camera_info(item: Encoded | Frame, camera: CameraModel) -> Message:
    k = [camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1]
    p = [*k[:3], 0, *k[3:6], 0, *k[6:], 0]
    roi = _TYPES.types["sensor_msgs/msg/RegionOfInterest"]
    return _TYPES.types[CAMERA_INFO](
        header=_header(item),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k, float),
        r=np.eye(3).reshape(-1),
        p=np.array(p, float),
        binning_x=0,
        binning_y=0,
        roi=roi(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )
