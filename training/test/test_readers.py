"""Each published format is read from a small sample in its layout; boxes worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published import pose, put, put_image, tracklet, write_drive
from scipy.io import savemat
from tasksr_training.annotations import read_annotations
from tasksr_training.errors import TrainingDataError
from tasksr_training.readers import kitti_raw, read_published


def rows(content: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Box, reason to ignore and visible share of each annotation."""
    return [
        (tuple(a["bbox"]), a.get("ignore_reason", ""), a.get("vis_ratio"))
        for a in content["annotations"]
    ]


def test_citypersons(tmp_path: Path) -> None:
    def entry(label: str, x: int, visible: list[int]) -> dict[str, object]:
        return {"label": label, "bbox": [x, 5, 20, 50], "bboxVis": visible, "instanceId": 24000}

    objects = [
        entry("pedestrian", 0, [0, 5, 20, 50]),
        entry("pedestrian", 10, [10, 5, 10, 50]),
        entry("rider", 20, [20, 5, 20, 50]),
        entry("sitting person", 30, [30, 5, 20, 50]),
        entry("person (other)", 40, [40, 5, 20, 50]),
        entry("person group", 50, [50, 5, 20, 50]),
        entry("ignore", 60, [60, 5, 20, 50]),
    ]
    name = "train/aachen/aachen_000012_000019"
    put(
        tmp_path / f"gtBboxCityPersons/{name}_gtBboxCityPersons.json",
        {"imgWidth": 2048, "imgHeight": 1024, "objects": objects},
    )
    content = read_published("citypersons", tmp_path, "train")
    assert content["images"] == [
        {
            "id": 1,
            "file_name": f"leftImg8bit/{name}_leftImg8bit.png",
            "width": 2048,
            "height": 1024,
            "sequence": "aachen_000012",
            "frame": 19,
        }
    ]
    assert rows(content) == [
        ((0, 5, 20, 50), "", 1),
        ((10, 5, 20, 50), "", 0.5),
        ((20, 5, 20, 50), "rider", 1),
        ((30, 5, 20, 50), "sitting", 1),
        ((40, 5, 20, 50), "other_person", 1),
        ((50, 5, 20, 50), "group", 1),
        ((60, 5, 20, 50), "ignore_region", 1),
    ]
    first, *_, last = content["annotations"]
    assert (first["height"], first["ignore"], first["iscrowd"], first["area"]) == (50, 0, 0, 1000)
    assert (last["ignore"], last["iscrowd"], content["categories"][0]["name"]) == (
        1,
        1,
        "pedestrian",
    )


def test_ecp(tmp_path: Path) -> None:
    def child(identity: str, x: int, *tags: str, **more: object) -> dict[str, object]:
        box = {"x0": x, "y0": 10, "x1": x + 20.5, "y1": 60}
        return {"identity": identity, **box, "tags": list(tags), "children": [], **more}

    children = [
        child("pedestrian", 0, "occluded>10"),
        child("pedestrian", 1, "occluded>40", "truncated>10", "unsure_orientation"),
        child("pedestrian", 2, "sitting-lying"),
        child("pedestrian", 3, "behind-glass"),
        child("pedestrian", 4, "depiction"),
        child("rider", 5, children=[child("bicycle", 6), child("co-rider", 7)]),
        child("person-group-far-away", 8),
        child("bicycle-group", 9),
    ]
    put(
        tmp_path / "night/labels/val/berlin/berlin_00003.json",
        {"imagewidth": 1920, "imageheight": 1024, "children": children, "tags": ["dry"]},
    )
    content = read_published("ecp", tmp_path, "night/val")
    assert content["images"] == [
        {
            "id": 1,
            "file_name": "night/img/val/berlin/berlin_00003.png",
            "width": 1920,
            "height": 1024,
        }
    ]
    assert rows(content) == [
        ((0, 10, 20.5, 50), "", 0.75),
        ((1, 10, 20.5, 50), "", 0.3),
        ((2, 10, 20.5, 50), "sitting", 1),
        ((3, 10, 20.5, 50), "behind_glass", 1),
        ((4, 10, 20.5, 50), "depiction", 1),
        ((5, 10, 20.5, 50), "rider", 1),
        ((7, 10, 20.5, 50), "rider", 1),
        ((8, 10, 20.5, 50), "group", 1),
    ]
    assert content["info"] == {"left_out": {"bicycle": 1, "bicycle-group": 1}}


BBGT = """% bbGt version=3
person 11 21 10 20 0 0 0 0 0 0 0
person 12 21 10 20 1 12 21 10 5 0 0
person 13 21 10 20 1 13 21 10 20 0 0
people 14 21 30 20 0 0 0 0 0 0 0
person? 15 21 10 20 0 0 0 0 0 0 0
person-fa 16 21 10 20 0 0 0 0 0 0 0
person 17 21 10 20 0 0 0 0 0 1 0
"""
BBGT_ROWS = [
    ((10, 20, 10, 20), "", 1),
    ((11, 20, 10, 20), "", 0.25),
    ((12, 20, 10, 20), "", 0),
    ((13, 20, 30, 20), "group", 1),
    ((14, 20, 10, 20), "uncertain", 1),
    ((15, 20, 10, 20), "uncertain", 1),
    ((16, 20, 10, 20), "marked", 1),
]


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("set06/V003/I00029.jpg", "set06/V003/I00029.txt"),
        ("set06_V003_I00029.jpg", "set06_V003_I00029.jpg.txt"),
    ],
)
def test_caltech_text(tmp_path: Path, image: str, text: str) -> None:
    put_image(tmp_path / "images" / image)
    put(tmp_path / "annotations" / text, BBGT)
    content = read_published("caltech", tmp_path, "set0[6-9]")
    (entry,) = content["images"]
    assert (entry["file_name"], entry["sequence"], entry["frame"], entry["width"]) == (
        f"images/{image}",
        "set06_V003",
        29,
        64,
    )
    assert rows(content) == BBGT_ROWS


def write_vbb(path: Path, frames: list[list[tuple[Any, ...]]], labels: list[str]) -> None:
    """Frames of (id, pos, occluded, posv)."""
    fields = [(name, object) for name in ("id", "pos", "occl", "lock", "posv")]
    lists = np.empty((1, len(frames)), object)
    for i, frame in enumerate(frames):
        objects = np.empty((1, len(frame)), fields)
        for j, (number, pos, occluded, visible) in enumerate(frame):
            objects[0, j] = (number, np.array(pos, float), occluded, 0, np.array(visible, float))
        lists[0, i] = objects if frame else np.zeros((0, 0))
    content = {
        "nFrame": len(frames),
        "objLists": lists,
        "maxObj": len(labels),
        "objLbl": np.array([labels], object),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        savemat(file, {"A": content, "vers": 1.4})


def test_caltech_vbb(tmp_path: Path) -> None:
    empty = (0, 0, 0, 0)
    frames = [
        [],
        [(1, (11, 21, 10, 20), 0, empty), (2, (14, 21, 30, 20), 1, (14, 21, 15, 20))],
        [(1, (13, 23, 10, 20), 1, (13, 23, 5, 20))],
    ]
    write_vbb(tmp_path / "annotations/set00/V001.vbb", frames, ["person", "people"])
    for frame in range(3):
        put_image(tmp_path / f"images/set00/V001/I{frame:05}.jpg")
    content = read_published("caltech", tmp_path, "set00")
    assert [i["frame"] for i in content["images"]] == [0, 1, 2]
    assert [a["image_id"] for a in content["annotations"]] == [2, 2, 3]
    assert rows(content) == [
        ((10, 20, 10, 20), "", 1),
        ((13, 20, 30, 20), "group", 0.5),
        ((12, 22, 10, 20), "", 0.5),
    ]
    put_image(tmp_path / "images/set00/V001/I00003.jpg")
    with pytest.raises(TrainingDataError, match="at least 4 frames, got 3"):
        read_published("caltech", tmp_path, "set00")
    put(tmp_path / "annotations/set00/V001.vbb", "not MATLAB")
    with pytest.raises(TrainingDataError, match=r"V001\.vbb: expected a vbb file"):
        read_published("caltech", tmp_path, "set00")


def test_caltech_vbb_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "annotations/set00/V001.vbb"
    person = (1, (11, 21, 10, 20), 0, (0, 0, 0, 0))
    put_image(tmp_path / "images/set00/V001/I00000.jpg")
    write_vbb(path, [[person, person]], ["person"])
    assert rows(read_published("caltech", tmp_path, "set00")) == [((10, 20, 10, 20), "", 1)] * 2
    write_vbb(path, [[person, (2, *person[1:])]], ["person"])
    with pytest.raises(
        TrainingDataError, match=r"V001\.vbb: frame\[0\]: object\[1\]: .*the id 2 with 1 labels"
    ):
        read_published("caltech", tmp_path, "set00")


LABELS = """Pedestrian 0.00 0 -0.20 10.00 20.00 30.50 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Pedestrian 0.25 0 -0.20 11.00 20.00 31.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Pedestrian 0.00 2 -0.20 12.00 20.00 32.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Pedestrian 0.00 3 -0.20 13.00 20.00 33.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Pedestrian 0.60 0 -0.20 14.00 20.00 34.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Person_sitting 0.00 0 -0.20 15.00 20.00 35.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Cyclist 0.00 0 -0.20 16.00 20.00 36.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
Car 0.00 0 -0.20 17.00 20.00 37.00 60.00 1.89 0.48 1.20 1.84 1.47 8.41 0.01
DontCare -1 -1 -10 18.00 20.00 38.00 60.00 -1 -1 -1 -1000 -1000 -1000 -10
"""


def test_kitti_object(tmp_path: Path) -> None:
    for number in (0, 1):
        put_image(tmp_path / f"training/image_2/{number:06}.png", 124, 37)
        put(tmp_path / f"training/label_2/{number:06}.txt", LABELS if number else "")
    plain = read_published("kitti-object", tmp_path, "training")
    assert [i.get("sequence") for i in plain["images"]] == [None, None]
    drives = ["2011_09_26 2011_09_26_drive_0005_sync 0000000109"]
    drives += ["2011_09_28 2011_09_28_drive_0016_sync 0000000007"]
    put(tmp_path / "mapping/train_mapping.txt", "\n".join(drives) + "\n")
    put(tmp_path / "mapping/train_rand.txt", "2,1")
    content = read_published("kitti-object", tmp_path, "training")
    assert [(i["width"], i["sequence"], i["frame"]) for i in content["images"]] == [
        (124, "2011_09_28_drive_0016", 7),
        (124, "2011_09_26_drive_0005", 109),
    ]
    assert rows(content) == [
        ((10, 20, 20.5, 40), "", 1),
        ((11, 20, 20, 40), "", 0.75),
        ((12, 20, 20, 40), "", None),
        ((13, 20, 20, 40), "occlusion_unknown", None),
        ((14, 20, 20, 40), "truncated", 0.4),
        ((15, 20, 20, 40), "sitting", 1),
        ((16, 20, 20, 40), "rider", 1),
        ((18, 20, 20, 40), "dont_care", None),
    ]


def test_kitti_raw_projects_tracklets(tmp_path: Path) -> None:
    drive = tmp_path / "2011_09_26/2011_09_26_drive_0005_sync"
    write_drive(
        drive,
        tracklet("Pedestrian", 1, pose(11, 0), pose(11, 0, occlusion=2)),
        tracklet("Cyclist", 0, pose(11, 5)),
        tracklet("Car", 0, pose(11, 5)),
        tracklet("Pedestrian", 0, pose(11, 10, 1, 1), pose(11, 0, 0, 2), pose(0.5, 0, 0)),
    )
    put(drive / "image_02/timestamps.txt", "2011-09-26 13:04:32.349659964\n" * 3)
    content = read_published("kitti-raw", tmp_path, "*")
    assert [(i["sequence"], i["frame"]) for i in content["images"]] == [
        ("2011_09_26_drive_0005", n) for n in range(3)
    ]
    assert content["images"][0]["stamp_ns"] == 1317042272349659964
    # Corners are 10 to 12 m ahead, +-0.5 m aside, 1 m above to 1 m below: the near face is largest.
    assert rows(content) == [
        # the cyclist 5 m to the left: its hull is from 5.5 m at 10 m to 4.5 m at 12 m
        ((45, 40, 17.5, 20), "rider", 1),
        # 10 m to the left: from -5 px, cut at 0, to 9.5 m at 12 m; partly occluded: no share
        ((0, 40, 20.83, 20), "", None),
        ((95, 40, 10, 20), "", 1),
        ((95, 40, 10, 20), "occluded", None),
    ]
    assert [(a["image_id"], a["track_id"]) for a in content["annotations"]] == [
        (1, 1),
        (1, 3),
        (2, 0),
        (3, 0),
    ]
    assert content["annotations"][2]["distance_m"] == 11.0
    assert content["info"] == {"left_out": {"Car": 1}}
    assert len(read_published("kitti-raw", drive, "")["annotations"]) == 4


def test_kitti_box_turns_about_its_vertical_axis() -> None:
    corners = kitti_raw.box_corners((2, 1, 4), np.array([10.0, 0, 0]), math.pi / 2)
    assert np.allclose(corners.min(0), [9.5, -2, 0])
    assert np.allclose(corners.max(0), [10.5, 2, 2])


def test_kitti_raw_agrees_with_an_independent_projection() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared/data/kitti_drive_0005"
    if not folder.is_dir():
        pytest.skip("no folder ../shared with a KITTI drive")
    content = read_published("kitti-raw", folder, "")
    expected = json.loads((folder / "val.json").read_text())

    def boxes(content: dict[str, Any]) -> dict[tuple[str, int], Any]:
        names = {i["id"]: i["file_name"] for i in content["images"]}
        return {(names[a["image_id"]], a["track_id"]): a for a in content["annotations"]}

    mine, theirs = boxes(content), boxes(expected)
    assert set(theirs) <= set(mine)
    for key, one in theirs.items():
        # that one clips to the last pixel, this one to the edge of the image: 1 px
        assert np.abs(np.subtract(mine[key]["bbox"], one["bbox"])).max() < 1.01
        assert mine[key]["distance_m"] == one["distance_m"]
    # That one counts a pedestrian who leaves the image, less than half in it, in two frames.
    others = [mine[key] for key in theirs if mine[key]["ignore"] != theirs[key]["ignore"]]
    assert [a["ignore_reason"] for a in others] == ["truncated", "truncated"]
    assert all(mine[key]["ignore"] for key in set(mine) - set(theirs))


def test_bdd100k(tmp_path: Path) -> None:
    def label(category: str, x: float, **attributes: bool) -> dict[str, object]:
        box = {"x1": x, "y1": 20.0, "x2": x + 9, "y2": 39.5}
        return {"id": "7", "category": category, "attributes": attributes, "box2d": box}

    labels = [
        label("pedestrian", 10, occluded=True, truncated=False),
        label("person", 11),
        label("rider", 12),
        label("other person", 13),
        label("pedestrian", 14, crowd=True),
        label("car", 15),
        {"id": "8", "category": "lane", "poly2d": []},
    ]
    frames = [
        {"name": "b1c66a42-6f7d68ca.jpg", "timestamp": 10000, "labels": labels},
        {"name": "b1c66a42-00000000.jpg", "size": {"width": 1280, "height": 720}},
    ]
    put(tmp_path / "labels/det_20/det_val.json", frames)
    put_image(tmp_path / "images/100k/val/b1c66a42-6f7d68ca.jpg", 128, 72)
    content = read_published("bdd100k", tmp_path, "val")
    assert [(i["file_name"], i["width"], i["sequence"]) for i in content["images"]] == [
        ("images/100k/val/b1c66a42-6f7d68ca.jpg", 128, "b1c66a42"),
        ("images/100k/val/b1c66a42-00000000.jpg", 1280, "b1c66a42"),
    ]
    assert all("frame" not in i for i in content["images"]), "no frames that follow each other"
    assert rows(content) == [
        ((10, 20, 10, 20.5), "", None),
        ((11, 20, 10, 20.5), "", None),
        ((12, 20, 10, 20.5), "rider", None),
        ((13, 20, 10, 20.5), "other_person", None),
        ((14, 20, 10, 20.5), "group", None),
    ]
    assert content["annotations"][0]["occluded"] == 1
    assert content["info"] == {"left_out": {"car": 1, "lane": 1}}


def test_nuimages(tmp_path: Path) -> None:
    def named(*names: str) -> list[dict[str, str]]:
        return [{"token": f"t-{name}", "name": name} for name in names]

    def data(token: str, key: bool) -> dict[str, object]:
        name = f"samples/CAM_FRONT/{token}.jpg"
        size = {"width": 1600, "height": 900, "timestamp": 1535639716662720}
        return {
            "token": token,
            "sample_token": "s",
            "filename": name,
            "is_key_frame": key,
            **size,
        }

    def annotation(x: int, category: str, *attributes: str) -> dict[str, object]:
        return {
            "token": f"a{x}",
            "sample_data_token": "one",
            "category_token": f"t-{category}",
            "attribute_tokens": [f"t-{a}" for a in attributes],
            "bbox": [x, 20, x + 10, 50],
        }

    people = "human.pedestrian."
    sitting = "pedestrian.sitting_lying_down"
    categories = [f"{people}{n}" for n in ("adult", "police_officer", "wheelchair")]
    tables = {
        "category": named(*categories, "vehicle.bicycle", "vehicle.car"),
        "attribute": named(sitting, "cycle.with_rider", "cycle.without_rider"),
        "log": [{"token": "l", "logfile": "n003-2018-01-02"}],
        "sample": [{"token": "s", "log_token": "l", "key_camera_token": "one"}],
        "sample_data": [data("one", True), data("sweep", False)],
        "object_ann": [
            annotation(0, f"{people}adult"),
            annotation(1, f"{people}police_officer", sitting),
            annotation(2, f"{people}wheelchair"),
            annotation(3, "vehicle.bicycle", "cycle.with_rider"),
            annotation(4, "vehicle.bicycle", "cycle.without_rider"),
            annotation(5, "vehicle.car"),
        ],
    }
    for name, table in tables.items():
        put(tmp_path / f"v1.0-mini/{name}.json", table)
    content = read_published("nuimages", tmp_path, "v1.0-mini")
    assert content["images"] == [
        {
            "id": 1,
            "file_name": "samples/CAM_FRONT/one.jpg",
            "width": 1600,
            "height": 900,
            "sequence": "n003-2018-01-02",
            "stamp_ns": 1535639716662720000,
        }
    ]
    assert rows(content) == [
        ((0, 20, 10, 30), "", None),
        ((1, 20, 10, 30), "sitting", None),
        ((2, 20, 10, 30), "on_wheels", None),
        ((3, 20, 10, 30), "rider", None),
    ]
    assert content["info"] == {"left_out": {"vehicle.bicycle": 1, "vehicle.car": 1}}
    tables["object_ann"][2]["category_token"] = "gone"
    put(tmp_path / "v1.0-mini/object_ann.json", tables["object_ann"])
    with pytest.raises(
        TrainingDataError, match=r"object_ann\.json: row a2: .*'gone', which is not in category"
    ):
        read_published("nuimages", tmp_path, "v1.0-mini")


def test_coco(tmp_path: Path) -> None:
    def annotation(x: int, category: int, crowd: int = 0) -> dict[str, object]:
        return {"id": x, "image_id": 9, "category_id": category, "bbox": [x, 2, 3, 4.5]} | {
            "iscrowd": crowd
        }

    put(
        tmp_path / "annotations/instances_val2017.json",
        {
            "images": [{"id": 9, "file_name": "000000000009.jpg", "width": 64, "height": 48}],
            "annotations": [annotation(1, 1), annotation(2, 1, crowd=1), annotation(3, 3)],
            "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        },
    )
    content = read_published("coco", tmp_path, "val2017")
    assert content["images"][0]["file_name"] == "val2017/000000000009.jpg"
    assert rows(content) == [((1, 2, 3, 4.5), "", None), ((2, 2, 3, 4.5), "group", None)]
    assert content["info"] == {"left_out": {"car": 1}}


def test_yolo(tmp_path: Path) -> None:
    for name in ("a", "sub/b"):
        put_image(tmp_path / f"images/train/{name}.png", 64, 32)
    put(tmp_path / "labels/train/a.txt", "0 0.5 0.5 0.25 0.5\n2 0.25 0.5 0.125 0.25\n\n")
    content = read_published("yolo", tmp_path, "train")
    assert [i["file_name"] for i in content["images"]] == [
        "images/train/a.png",
        "images/train/sub/b.png",
    ]
    assert rows(content) == [((24, 8, 16, 16), "", None)]
    put(tmp_path / "data.yaml", "names: {0: car, 1: bus, 2: person}\n")
    assert rows(read_published("yolo", tmp_path, "train")) == [((12, 12, 8, 8), "", None)]
    put(tmp_path / "data.yaml", "names: [car, bus]\n")
    with pytest.raises(TrainingDataError, match=r"data\.yaml: .*neither pedestrian nor person"):
        read_published("yolo", tmp_path, "train")


def test_what_is_read_has_no_problems(tmp_path: Path) -> None:
    put_image(tmp_path / "images/train/a.png")
    put(tmp_path / "labels/train/a.txt", "0 0.5 0.5 0.25 0.5\n")
    path = tmp_path / "train.json"
    put(path, read_published("yolo", tmp_path, "train"))
    file = read_annotations(path)
    assert file.problems == []
    assert file.images[0].boxes.tolist() == [[24, 8, 40, 24]]
