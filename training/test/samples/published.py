"""Samples of published data sets, written by the tests of readers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def put_image(path: Path, width: int = 64, height: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def pose(x: float, y: float, occlusion: int = 0, truncation: int = 0) -> str:
    return (
        f"<item><tx>{x}</tx><ty>{y}</ty><tz>-1</tz><rx>0</rx><ry>0</ry><rz>0</rz><state>2</state>"
        f"<occlusion>{occlusion}</occlusion><truncation>{truncation}</truncation></item>"
    )


def tracklet(kind: str, first: int, *poses: str) -> str:
    return (
        f"<item><objectType>{kind}</objectType><h>2</h><w>1</w><l>2</l>"
        f"<first_frame>{first}</first_frame><poses><count>{len(poses)}</count>"
        f"{''.join(poses)}</poses></item>"
    )


def write_drive(drive: Path, *tracklets: str) -> None:
    # A camera at the scanner's place: x ahead becomes z, y left becomes -x, z up becomes -y.
    put(
        drive.parent / "calib_velo_to_cam.txt",
        "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n",
    )
    put(
        drive.parent / "calib_cam_to_cam.txt",
        "calib_time: 09-Jan-2012 13:57:47\nS_rect_02: 200 100\nR_rect_00: 1 0 0 0 1 0 0 0 1\n"
        "P_rect_02: 100 0 100 0 0 100 50 0 0 0 1 0\n",
    )
    put(
        drive / "tracklet_labels.xml",
        '<?xml version="1.0"?><boost_serialization><tracklets><count>9</count>'
        f"{''.join(tracklets)}</tracklets></boost_serialization>",
    )
    for frame in range(3):
        put_image(drive / f"image_02/data/{frame:010}.png", 200, 100)
