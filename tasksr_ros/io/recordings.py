"""Recordings of a camera: bags, videos, folders of images and single images, opened alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasksr_ros.errors import RecordingError
from tasksr_ros.io.bag_files import is_bag
from tasksr_ros.io.bags import BagRecording
from tasksr_ros.io.folders import IMAGE_SUFFIXES, FolderRecording
from tasksr_ros.io.recording import Recording
from tasksr_ros.io.videos import VideoRecording

_PACKED = (".lz4", ".gz", ".bz2", ".xz", ".zst", ".zstd", ".zip", ".7z", ".tar", ".tgz")


def open_recording(
    path: str | Path, topic: str | Sequence[str] | None = None, intrinsics: str = "auto"
) -> Recording:
    """Open a bag, a video, a folder of images, or an image.

    Args:
        path: what to open. A bag is a rosbag2 folder, an .mcap or .db3 file (also compressed:
            .mcap.zstd), or a ROS 1 .bag. A KITTI raw drive is read with its own stamps and
            calibration, a generated drive with those of its ground truth.
        topic: of a bag's images, or several; needed where the bag has several.
        intrinsics: which of a bag's CameraInfo to take, see `calibration.is_rectified`.

    Raises:
        RecordingError: where it is unreadable or holds no images.
    """
    path = Path(path)
    try:
        there = path.exists()
    except OSError as error:
        raise RecordingError(f"recording {path} cannot be read: {error.strerror}") from None
    if not there:
        raise RecordingError(f"recording {path} does not exist")
    if is_bag(path):
        return BagRecording(path, topic, intrinsics)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return FolderRecording(path)
    if path.suffix.lower() in _PACKED:
        raise RecordingError(
            f"{path} must be unpacked first: of packed files, .zstd and .zst of .mcap and .db3 "
            f"are read"
        )
    return VideoRecording(path)
