"""Published formats as other tools write them; literal boxes, and a line for what was guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published import pose, put, put_image, tracklet, write_drive
from tasksr_training.coco import read_set
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_files import check_whole
from tasksr_training.readers import read_published

from tasksr_ros.evaluation.ground_truth import ROBOFLOW, read_ground_truth
from tasksr_ros.replay.truth_file import TruthImages

BOM = "\ufeff"
IN_THE_MIDDLE = [24, 8, 16, 16]
"""Of an image of 64x32 px: 0.5 0.5 0.25 0.5."""


def boxes(content: dict[str, Any]) -> list[tuple[list[float], str]]:
    return [(a["bbox"], a.get("ignore_reason", "")) for a in content["annotations"]]


# YOLO


def yolo(folder: Path, lines: str, names: str = "names: [person, car]\n") -> dict[str, Any]:
    put_image(folder / "images/train/a.png")
    put(folder / "labels/train/a.txt", lines)
    if names:
        put(folder / "data.yaml", names)
    return read_published("yolo", folder, "train")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.25 0.5", ""),
        ("0.0 0.5 0.5 0.25 0.5", ""),
        (f"{BOM}0\t0.5\t0.5\t0.25\t0.5\r", ""),
        ("0 0.5 0.5 0.25 0.5 0.93", "1 x box with a score (labels/train/a.txt:1): kept"),
        ("0 .375 .25 .625 .25 .625 .75 .375 .75", "1 x polygon (labels/train/a.txt:1): kept"),
        ("0 .5 .25 .625 .75 .375 .5", "1 x polygon (labels/train/a.txt:1): kept"),
    ],
)
def test_forms_of_a_line(
    tmp_path: Path, line: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert boxes(yolo(tmp_path, line + "\n")) == [(IN_THE_MIDDLE, "")]
    assert [kind in record.getMessage() for record in caplog.records] == ([True] if kind else [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 32 16 16 16", "got 32 16 16 16: no shares of the image's size .are these px"),
        ("0 24 8 40 8 40 24", "are these px"),
        ("0 0.5 0.5 0.25 16", "are these px"),
        ("0 0.5 0.5 -0.25 0.5", "are these px"),
        ("0 0.5 0.5 nan 0.5", "are these px"),
        ("0 0.5 0.5 0.01 -0.01", "1 x inverted box .images/train/a.png: 31.68, 16.16, 0.64, -0.32"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "8 columns"),
        ("0.5 0.5 0.5 0.25 0.5", "class 0.5"),
        ("-1 0.5 0.5 0.25 0.5", "class -1"),
        ("person 0.5 0.5 0.25 0.5", "could not convert string to float: 'person'"),
        ("0 .2 .1 .3 .4\n" * 3, r"these look like corners .* in each of 3 boxes"),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        yolo(tmp_path, line + "\n")


def test_key_points_follow_the_box(tmp_path: Path) -> None:
    names = "names: [person]\nkpt_shape: [2, 3]\n"
    line = "0 0.5 0.5 0.25 0.5  .4 .4 2 .6 .6 1\n"
    assert boxes(yolo(tmp_path, line, names)) == [(IN_THE_MIDDLE, "")]
    with pytest.raises(TrainingDataError, match="7 columns"):
        yolo(tmp_path, "0 .5 .25 .625 .75 .375 .5\n", names)


@pytest.mark.parametrize(
    "lines",
    [
        "0 .2 .1 .3 .4\n" * 2,  # two large ones in a corner
        "0 .2 .1 .3 .4\n" * 2 + "0 .5 .5 .2 .2\n",
        "0 .1 .1 .2 .1 .2 .4 .1 .4\n0 .1 .1 .3 .1 .3 .4 .1 .4\n0 .1 .1 .4 .1 .4 .4 .1 .4\n",
    ],
)
def test_large_boxes_are_no_corners(tmp_path: Path, lines: str) -> None:
    assert len(yolo(tmp_path, lines)["annotations"]) == lines.count("\n")


def test_a_box_twice_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n" * 2)
    assert caplog.messages == [
        f"{tmp_path}: 1 x repeated box (images/train/a.png: 24, 8, 16, 16): kept: were two "
        f"exports joined?"
    ]


def test_another_number_of_names_than_stated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="names of classes, got 2 names, but nc 3"):
        yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n", "nc: 3\nnames: [person, car]\n")


CLASSES = ["classes.txt", "labels/classes.txt", "labels/train/classes.txt", "obj.names"]
CLASSES += ["predefined_classes.txt", "coco.names"]


@pytest.mark.parametrize("place", CLASSES)
def test_names_of_labelling_tools(tmp_path: Path, place: str) -> None:
    put(tmp_path / place, f"{BOM}Car\r\nPerson\r\n")
    content = yolo(tmp_path, "1 0.5 0.5 0.25 0.5\n0 0.2 0.2 0.1 0.1\n", "")
    assert boxes(content) == [(IN_THE_MIDDLE, "")]
    assert content["info"]["left_out"] == {"car": 1}


def test_names_that_disagree_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "car\nperson\n")
    with pytest.raises(
        TrainingDataError,
        match=r"classes.txt: expected the names of .*data.yaml .person, car., got car, person",
    ):
        yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n")


def test_class_0_without_names_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n1 0.2 0.2 0.1 0.1\n", "")
    assert boxes(content) == [(IN_THE_MIDDLE, "")]
    (record,) = caplog.records
    assert "no file names the classes" in record.getMessage()
    assert "class 0 is taken for pedestrians" in record.getMessage()


@pytest.mark.parametrize(
    ("images", "labels", "split", "yaml"),
    [
        ("train/images", "train/labels", "train", "train: ../train/images\n"),
        ("valid/images", "valid/labels", "val", "val: ../valid/images\n"),
        ("images", "labels", "train", "path: .\ntrain: images\n"),
        ("set/images/a", "set/labels/a", "train", "train: set/images/a\n"),
        ("train", "train", "train", ""),
    ],
)
def test_layouts(tmp_path: Path, images: str, labels: str, split: str, yaml: str) -> None:
    put_image(tmp_path / images / "a.png")
    put(tmp_path / labels / "a.txt", "0 0.5 0.5 0.25 0.5\n")
    put(tmp_path / "data.yaml", f"{BOM}{yaml}names: ['person']\n")
    content = read_published("yolo", tmp_path, split)
    assert [i["file_name"] for i in content["images"]] == [f"{images}/a.png"]
    assert boxes(content) == [(IN_THE_MIDDLE, "")]


def test_a_split_in_two_places_is_refused(tmp_path: Path) -> None:
    put_image(tmp_path / "train/images/a.png")
    with pytest.raises(TrainingDataError, match=r"got .*images/train and .*train/images"):
        yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n")
    with pytest.raises(TrainingDataError, match=r"the split 'val' in images/val .*, got neither"):
        read_published("yolo", tmp_path, "val")


def test_splits_of_several_folders_are_refused(tmp_path: Path) -> None:
    put_image(tmp_path / "more/b.png")
    names = "names: [person]\ntrain: [images/train, more]\n"
    with pytest.raises(TrainingDataError, match=r"got .*images/train and .*more$"):
        yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n", names)


@pytest.mark.parametrize(
    "line", ["images/train/a.png", "./images/train/a.png", "/x/images/train/a.png"]
)
@pytest.mark.parametrize("name", ["train.txt", "lists/some.txt"])
def test_a_list_of_the_split_says_which_images_it_has(
    tmp_path: Path, name: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / name, f"{line}\n{line.replace('a.png', 'gone.png')}\n")
    put_image(tmp_path / "images/train/b.png")
    names = "names: [person]\n" + (f"train: {name}\n" if name != "train.txt" else "")
    content = yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n", names)
    assert [image["file_name"] for image in content["images"]] == ["images/train/a.png"]
    assert caplog.messages == [f"{tmp_path / name}: 1 of 2 images are not there"]


def test_darknet_as_cvat_exports_it(tmp_path: Path) -> None:
    put_image(tmp_path / "obj_train_data/a.png")
    put(tmp_path / "obj_train_data/a.txt", "1 0.5 0.5 0.25 0.5\n")
    put(tmp_path / "obj.names", "car\nperson\n")
    put(tmp_path / "train.txt", "data/obj_train_data/a.png\n")
    content = read_published("yolo", tmp_path, "train")
    assert [image["file_name"] for image in content["images"]] == ["obj_train_data/a.png"]
    assert boxes(content) == [(IN_THE_MIDDLE, "")]


def test_labels_of_two_images_or_of_none_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "labels/train/b.TXT", "0 0.5 0.5 0.25 0.5\n")
    put_image(tmp_path / "images/train/a.jpg")
    put_image(tmp_path / "images/train/._a.jpg")
    put(tmp_path / "labels/train/gone.txt", "0 0.5 0.5 0.25 0.5\n")
    assert len(yolo(tmp_path, "0 0.5 0.5 0.25 0.5\n")["images"]) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 1 label files of several images (a.txt)",
        f"{tmp_path}: 2 label files without an image, left out (b.TXT, gone.txt)",
    ]


# KITTI


def kitti(folder: Path, line: str, image: str = "000000.png") -> dict[str, Any]:
    put_image(folder / "training/image_2" / image)
    put(folder / "training/label_2/000000.txt", line)
    return read_published("kitti-object", folder, "training")


LINE = "{} 0.00 0 -0.20 24.00 8.00 40.00 24.00 1.8 0.5 1.2 1.8 1.5 8.4 0.01"


def test_kitti_results_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = kitti(tmp_path, f"{LINE.format('Pedestrian')} 0.93\n{LINE.format('Car')} 0.5\n")
    assert [a["bbox"] for a in content["annotations"]] == [[24, 8, 16, 16]]
    assert caplog.messages == [
        f"{tmp_path}: 1 x box with a score (training/label_2/000000.txt:1): kept, without the "
        "score: are these labels?"
    ]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Pedestrian", ""),
        ("pedestrian", ""),
        ("PERSON", ""),
        ("cyclist", "rider"),
        ("person_sitting", "sitting"),
        ("dontcare", "dont_care"),
    ],
)
def test_types_in_any_case(tmp_path: Path, kind: str, reason: str) -> None:
    assert boxes(kitti(tmp_path, LINE.format(kind))) == [(IN_THE_MIDDLE, reason)]


@pytest.mark.parametrize("image", ["000000.jpg", "000000.jpeg", "000000.bmp"])
def test_images_of_another_kind(tmp_path: Path, image: str) -> None:
    content = kitti(
        tmp_path, BOM + LINE.format("Pedestrian").replace(" ", "\t") + " 0.9\r\n", image
    )
    assert content["images"][0]["file_name"] == f"training/image_2/{image}"
    assert boxes(content) == [(IN_THE_MIDDLE, "")]


def test_cars_in_any_case_are_left_out(tmp_path: Path) -> None:
    content = kitti(tmp_path, "\n".join(LINE.format(kind) for kind in ("car", "Car", "pedestrian")))
    assert content["info"]["left_out"] == {"car": 1, "Car": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINE.format("Pedestrian").replace("24.00 8.00 40.00 24.00", "40 24 24 8"), "1 x inverted"),
        (LINE.format("Pedestrian").replace("8.00 40.00", "8.00 nan"), "1 x box not finite"),
        ("0 2 " + LINE.format("Pedestrian"), "17 columns .those of tracking"),
        ("Pedestrian 0 0 0 24 8 40 24", "8 columns"),
        (LINE.format("Pedestrian").replace("0.00 0", "50 0"), "got truncated 50 .-1 to 1., occ"),
        (LINE.format("Pedestrian").replace("0.00 0", "0.00 4"), "occluded 4 .-1 to 3."),
    ],
)
def test_kitti_lines_that_are_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        kitti(tmp_path, line)


def test_kitti_files_that_are_not_numbered(tmp_path: Path) -> None:
    put_image(tmp_path / "training/image_2/frame_7.png")
    put(tmp_path / "training/label_2/frame_7.txt", LINE.format("Pedestrian"))
    content = read_published("kitti-object", tmp_path, "training")
    assert boxes(content) == [(IN_THE_MIDDLE, "")]


# BDD100K


def bdd(
    folder: Path, label: dict[str, Any], path: str = "det_20/det_val.json", wrapped: bool = False
) -> dict[str, Any]:
    box = {"x1": 24, "y1": 8, "x2": 39, "y2": 23}
    labels = [{"category": "Pedestrian".lower(), "box2d": box, **label}]
    frames = [{"name": "b-1.jpg", "size": {"width": 64, "height": 32}, "labels": labels}]
    put(folder / "labels" / path, {"frames": frames, "config": {}} if wrapped else frames)
    return read_published("bdd100k", folder, "val")


@pytest.mark.parametrize("path", ["det_20/det_val.json", "bdd100k_labels_images_val.json"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_bdd_files(tmp_path: Path, path: str, wrapped: bool) -> None:
    assert boxes(bdd(tmp_path, {}, path, wrapped)) == [(IN_THE_MIDDLE, "")]


@pytest.mark.parametrize(
    ("crowd", "reason"), [("false", ""), ("0", ""), (False, ""), ("true", "group"), (True, "group")]
)
def test_bdd_flags_as_words(tmp_path: Path, crowd: object, reason: str) -> None:
    attributes = {"crowd": crowd, "occluded": "false", "truncated": "true"}
    content = bdd(tmp_path, {"attributes": attributes})
    assert boxes(content) == [(IN_THE_MIDDLE, reason)]
    assert (content["annotations"][0]["occluded"], content["annotations"][0]["truncated"]) == (0, 1)


def test_bdd_categories_in_any_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert boxes(bdd(tmp_path, {"category": "Person"})) == [(IN_THE_MIDDLE, "")]
    assert boxes(bdd(tmp_path, {"category": "Rider"})) == [(IN_THE_MIDDLE, "rider")]
    assert bdd(tmp_path, {"category": "Traffic Light"})["annotations"] == []
    assert "unknown category" not in caplog.text


def test_bdd_boxes_that_are_refused(tmp_path: Path) -> None:
    shares = {"x1": 0.1, "y1": 0.2, "x2": 0.2, "y2": 0.4}
    with pytest.raises(TrainingDataError, match=r"got 0.1 0.2 0.2 0.4: no px .are these shares"):
        bdd(tmp_path, {"box2d": shares})
    with pytest.raises(TrainingDataError, match=r"label\[0\]: .*got no 'box2d'"):
        bdd(tmp_path, {"box2d": None})
    inverted = {"x1": 24, "y1": 8, "x2": 23, "y2": 23}
    with pytest.raises(
        TrainingDataError, match=r"1 x inverted box .images/100k/val/b-1.jpg: 24, 8,"
    ):
        bdd(tmp_path, {"box2d": inverted})


# COCO


def coco(folder: Path, **more: Any) -> dict[str, Any]:
    content = {
        "images": [{"id": "x", "file_name": "a\\1.png", "width": 64, "height": 32}],
        "annotations": [{"id": "q", "image_id": "x", "category_id": "7", "bbox": IN_THE_MIDDLE}],
        "categories": [{"id": 9, "name": "car"}, {"id": 7, "name": "Person "}],
        **more,
    }
    put(folder / "annotations/instances_val.json", BOM + json.dumps(content))
    return read_published("coco", folder, "val")


def test_coco_with_texts_as_ids_and_names_in_any_case(tmp_path: Path) -> None:
    content = coco(tmp_path)
    assert boxes(content) == [(IN_THE_MIDDLE, "")]
    assert content["images"][0]["file_name"] == "val/a/1.png"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"iscrowd": "0"}, ""),
        ({"iscrowd": "false", "ignore": "0.0"}, ""),
        ({"iscrowd": "1"}, "group"),
        ({"ignore": "true"}, "marked"),
    ],
)
def test_coco_flags_as_words(tmp_path: Path, flags: dict[str, str], reason: str) -> None:
    entry = {"image_id": "x", "category_id": 7, "bbox": IN_THE_MIDDLE, **flags}
    assert boxes(coco(tmp_path, annotations=[entry])) == [(IN_THE_MIDDLE, reason)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"bbox": [40, 8, -16, 16]}, "1 x inverted box .val/a/1.png: 40, 8, -16, 16"),
        ({"image_id": [1]}, r"got image_id \[1\]$"),
        ({"bbox": "1234"}, "a bbox of four numbers, got '1234'$"),
        ({"iscrowd": "maybe"}, "must be 0 or 1, got 'maybe'"),
    ],
)
def test_coco_annotations_that_are_refused(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    good = {"image_id": "x", "category_id": 7, "bbox": IN_THE_MIDDLE}
    with pytest.raises(TrainingDataError, match=message):
        coco(tmp_path, annotations=[{**good, **entry}])


@pytest.mark.parametrize(
    ("boxes", "form"),
    [
        ([[40, 16, 60, 30], [30, 8, 50, 28], [44, 20, 58, 31]], r"corners \(x0, y0, x1, y1\)"),
        ([[0.25, 0.5, 0.1, 0.2]], "shares of the image's size"),
    ],
)
def test_coco_boxes_in_another_form_are_refused(
    tmp_path: Path, boxes: list[list[float]], form: str
) -> None:
    annotations = [{"image_id": "x", "category_id": 7, "bbox": box} for box in boxes]
    with pytest.raises(TrainingDataError, match=rf"1 x file of boxes in another form .{form}"):
        coco(tmp_path, annotations=annotations)


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ({"7": "person"}, "categories must be a list of ids and names, got a dict$"),
        ([{"id": 7, "name": "people"}], "no pedestrian or person among people$"),
    ],
)
def test_coco_categories_that_are_refused(tmp_path: Path, categories: Any, message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        coco(tmp_path, categories=categories)


@pytest.mark.parametrize("name", ["val/a/1.png", "images/val/a/1.png", "images/a/1.png", "a/1.png"])
def test_coco_images_in_other_folders(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    put_image(tmp_path / name)
    assert coco(tmp_path)["images"][0]["file_name"] == name
    assert caplog.messages == []


def test_coco_images_that_are_not_there_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert coco(tmp_path)["images"][0]["file_name"] == "val/a/1.png"
    assert caplog.messages == [f"{tmp_path}: 1 of 1 images are missing (val/a/1.png)"]


@pytest.mark.parametrize(
    ("format_name", "split", "file", "content", "image"),
    [
        (
            "coco",
            "val",
            "annotations/instances_val.json",
            {
                "images": [{"id": 1, "file_name": "1.png", "width": 128, "height": 64}],
                "annotations": [],
                "categories": [{"id": 1, "name": "person"}],
            },
            "val/1.png",
        ),
        (
            "bdd100k",
            "val",
            "labels/det_20/det_val.json",
            [{"name": "b-1.jpg", "size": {"width": 128, "height": 64}, "labels": []}],
            "images/100k/val/b-1.jpg",
        ),
        (
            "citypersons",
            "val",
            "gtBboxCityPersons/val/b/b_0_1_gtBboxCityPersons.json",
            {"imgWidth": 128, "imgHeight": 64, "objects": []},
            "leftImg8bit/val/b/b_0_1_leftImg8bit.png",
        ),
        (
            "ecp",
            "day/val",
            "day/labels/val/b/b_0.json",
            {"imagewidth": 128, "imageheight": 64, "children": []},
            "day/img/val/b/b_0.png",
        ),
    ],
)
def test_labels_for_images_of_another_size_are_refused(
    tmp_path: Path, format_name: str, split: str, file: str, content: Any, image: str
) -> None:
    """Halved images beside the labels of whole ones."""
    put(tmp_path / file, content)
    put_image(tmp_path / image, 64, 32)
    message = (
        rf"1 x labels for another image size \({image}: 128x64 px said, 64x32 px\): the boxes are "
        r"in px of other images"
    )
    with pytest.raises(TrainingDataError, match=message):
        read_published(format_name, tmp_path, split)
    put_image(tmp_path / image, 128, 64)
    assert len(read_published(format_name, tmp_path, split)["images"]) == 1


def test_a_source_without_people_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put_image(tmp_path / "val/a/1.png")
    coco(tmp_path, annotations=[])
    assert caplog.messages == [
        f"{tmp_path}: no pedestrian counts in the 1 images of the split 'val'"
    ]


def roboflow(folder: Path, split: str) -> Path:
    """A split as Roboflow exports it: a category for the project, images and labels beside."""
    content = {
        "info": {"description": "Exported from roboflow.com"},
        "images": [{"id": 0, "file_name": "a_jpg.rf.1.png", "width": 64, "height": 32}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 2, "bbox": IN_THE_MIDDLE, "iscrowd": 0},
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        ],
        "categories": [
            {"id": 0, "name": "people", "supercategory": "none"},
            {"id": 1, "name": "car", "supercategory": "people"},
            {"id": 2, "name": "person", "supercategory": "people"},
        ],
    }
    put_image(folder / split / "a_jpg.rf.1.png")
    put(folder / split / "_annotations.coco.json", json.dumps(content))
    return folder / split


def test_coco_as_roboflow_exports_it(tmp_path: Path) -> None:
    roboflow(tmp_path, "valid")
    content = read_published("coco", tmp_path, "valid")
    assert boxes(content) == [(IN_THE_MIDDLE, "")]
    assert content["images"][0]["file_name"] == "valid/a_jpg.rf.1.png"
    assert content["info"]["left_out"] == {"car": 1}


def test_roboflows_splits_are_named_where_another_is_asked_for(tmp_path: Path) -> None:
    roboflow(tmp_path, "train")
    roboflow(tmp_path, "valid")
    with pytest.raises(TrainingDataError, match=r"a split of train, valid \(_anno.*got 'val'"):
        read_published("coco", tmp_path, "val")


def test_a_split_in_two_files_is_refused(tmp_path: Path) -> None:
    roboflow(tmp_path, "val")
    with pytest.raises(TrainingDataError, match=r"in one file, got .*instances_val\.json and"):
        coco(tmp_path)


@pytest.mark.parametrize("path", ["train", "*", "train/_annotations.coco.json"])
def test_a_roboflow_folder_is_read_with_its_boxes(tmp_path: Path, path: str) -> None:
    roboflow(tmp_path, "train")
    (image,) = read_set(tmp_path, path)
    assert image.boxes.tolist() == [[24, 8, 40, 24]]
    assert (image.name, image.ignore.tolist()) == ("a_jpg.rf.1.png", [False])


@pytest.mark.parametrize("given", ["", "_annotations.coco.json"])
def test_evaluation_and_replay_read_a_roboflow_folder(tmp_path: Path, given: str) -> None:
    folder = roboflow(tmp_path, "train")
    truth = read_ground_truth(folder / given)
    assert (truth.path, truth.xywh.tolist()) == (folder / ROBOFLOW, [IN_THE_MIDDLE])
    assert truth.problems == {"other_category": 1}
    images = TruthImages.read(folder / given)
    assert images.files(folder) == {folder / "a_jpg.rf.1.png": 0}


# Image files


def test_cmyk_is_refused_as_in_detect(tmp_path: Path) -> None:
    pixels = np.full((32, 64, 4), 90, np.uint8)
    Image.fromarray(pixels, "CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(TrainingDataError, match=r"a.jpg: .* must be grey or RGB, got CMYK"):
        check_whole(tmp_path / "a.jpg")


def test_several_pages_are_refused_as_in_detect(tmp_path: Path) -> None:
    page = Image.new("RGB", (64, 32))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(TrainingDataError, match=r"a.tif: .* it must be a still, got 2 pages"):
        check_whole(tmp_path / "a.tif")
    page.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[page])  # a phone's
    check_whole(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("pedestrian", [""]),
        ("Person", [""]),
        ("CYCLIST", ["rider"]),
        ("person (sitting)", ["sitting"]),
        ("car", []),
        ("dog", ["unknown_category"]),
    ],
)
def test_types_of_tracklets_in_any_case(tmp_path: Path, kind: str, found: list[str]) -> None:
    drive = tmp_path / "2011_09_26/2011_09_26_drive_0001_sync"
    write_drive(drive, tracklet(kind, 0, pose(10, 0)))
    content = read_published("kitti-raw", tmp_path, "*")
    assert [reason for _, reason in boxes(content)] == found
