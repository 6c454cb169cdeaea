"""What is wrong in a published data set is named, counted, and stops or is left out by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from published import pose, put, put_image, tracklet, write_drive
from tasksr_training.data_commands import convert
from tasksr_training.errors import TrainingDataError
from tasksr_training.readers import FORMATS, read_published

PERSON = {"id": "4", "category": "person"}
CHILD = {"identity": "rider", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "tags": []}
COCO: dict[str, list[Any]] = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
    "annotations": [],
    "categories": [{"id": 1, "name": "person"}],
}


@pytest.mark.parametrize(
    ("format_name", "split", "path", "content", "message"),
    [
        (
            "yolo",
            "train",
            "labels/train/a.txt",
            "0 .5 .5 .1 .1\n0 .5 .5 .1\n",
            r"a\.txt:2: .*4 col",
        ),
        ("yolo", "train", "labels/train/a.txt", "0 .5 x .1 .1\n", r"a\.txt:1: expected YOLO"),
        (
            "kitti-object",
            "training",
            "training/label_2/000000.txt",
            "Cyclist 0\n",
            r"txt:1: .*2 col",
        ),
        (
            "caltech",
            "set00",
            "annotations/set00/V000/I00000.txt",
            "person 1 2 3 4 0 0 0 0 0 0",
            r"I00000\.txt:1: .*11 columns",
        ),
        ("citypersons", "val", "gtBboxCityPersons/val/b/b_0_1_gtBboxCityPersons.json", "{", "JSON"),
        ("ecp", "day/val", "day/labels/val/b/b_0.json", {"imagewidth": 4}, "imageheight"),
        ("bdd100k", "val", "labels/det_20/det_val.json", {"images": []}, "got no 'frames'"),
        ("coco", "v", "annotations/instances_v.json", {"images": []}, "categories"),
        ("nuimages", "v1.0", "v1.0/sample_data.json", [{}], "token"),
        ("kitti-raw", "*", "tracklet_labels.xml", "<a>", "calib_cam_to_cam.txt: expected"),
        (
            "bdd100k",
            "val",
            "labels/det_20/det_val.json",
            [
                {
                    "name": "b-1.jpg",
                    "size": {"width": 9, "height": 9},
                    "labels": [{"category": "person", "box2d": {"x1": 1}}],
                }
            ],
            r"det_val\.json: frame b-1\.jpg: label\[0\]: expected .* got no 'y1'",
        ),
        (
            "bdd100k",
            "val",
            "labels/det_20/det_val.json",
            [{"name": "b-1.jpg", "size": {"width": 9, "height": 9}, "labels": [PERSON]}],
            r"frame b-1\.jpg: label 4: .* got no 'box2d'",
        ),
        (
            "coco",
            "v",
            "annotations/instances_v.json",
            {**COCO, "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2]}]},
            r"annotation 5: expected an annotation with .* four numbers, got \[1, 2\]",
        ),
        (
            "coco",
            "v",
            "annotations/instances_v.json",
            {**COCO, "annotations": [{"image_id": 1, "category_id": 1, "bbox": ["a", 1, 1, 1]}]},
            r"annotation\[0\]: .*string to float: 'a'",
        ),
        (
            "coco",
            "v",
            "annotations/instances_v.json",
            {**COCO, "images": [*COCO["images"], {"file_name": "b.jpg"}]},
            r"instances_v\.json: image\[1\]: expected an image with an id .* got no 'id'",
        ),
        (
            "coco",
            "v",
            "annotations/instances_v.json",
            {**COCO, "images": COCO["images"] * 2},
            "image 1: .*got the id 1 again",
        ),
        (
            "citypersons",
            "val",
            "gtBboxCityPersons/val/b/b_0_1_gtBboxCityPersons.json",
            {"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "rider"}]},
            r"b_0_1_gtBboxCityPersons\.json: object\[0\]: expected a label, .*got no 'bbox'",
        ),
        (
            "ecp",
            "day/val",
            "day/labels/val/b/b_0.json",
            {
                "imagewidth": 4,
                "imageheight": 4,
                "children": [{**CHILD, "children": [{**CHILD, "tags": ["occluded>99"]}]}],
            },
            r"b_0\.json: child\[0\]: child\[0\]: expected .* >80, got tag 'occluded>99'",
        ),
        ("nuimages", "v1.0", "v1.0/sample_data.json", [{"token": "a"}, {}], r"row\[1\].*'token'"),
        ("nuimages", "v1.0", "v1.0/sample_data.json", [{"token": "a"}], r"log\.json"),
    ],
)
def test_files_in_another_form_are_named(
    tmp_path: Path, format_name: str, split: str, path: str, content: object, message: str
) -> None:
    put_image(tmp_path / "images/train/a.png")
    put_image(tmp_path / "training/image_2/000000.png")
    put_image(tmp_path / "images/set00/V000/I00000.jpg")
    put(tmp_path / path, content)
    with pytest.raises(TrainingDataError, match=message):
        read_published(format_name, tmp_path, split)


OBJECTS = [{"label": "cat", "bbox": [1, 1, 2, 2], "bboxVis": [1, 1, 2, 2]}]
IN_IMAGE = {"imgWidth": 9, "imgHeight": 9}


@pytest.mark.parametrize(
    ("format_name", "split", "path", "content", "where"),
    [
        (
            "bdd100k",
            "val",
            "labels/det_20/det_val.json",
            [
                {
                    "name": "b-1.jpg",
                    "size": {"width": 9, "height": 9},
                    "labels": [
                        {"category": "cat", "box2d": {"x1": 1, "y1": 1, "x2": 2, "y2": 2}},
                        {"category": "area/drivable", "poly2d": []},
                        {"category": "bike", "box2d": {"x1": 1, "y1": 1, "x2": 2, "y2": 2}},
                    ],
                }
            ],
            "labels/det_20/det_val.json: frame b-1.jpg: label[0] (cat)",
        ),
        (
            "ecp",
            "day/val",
            "day/labels/val/b/b_0.json",
            {
                "imagewidth": 9,
                "imageheight": 9,
                "children": [{**CHILD, "identity": "buggy", "children": [CHILD | {"identity": 3}]}],
            },
            "day/labels/val/b/b_0.json: child[0]: child[0] (3)",
        ),
        (
            "coco",
            "v",
            "annotations/instances_v.json",
            {
                **COCO,
                "annotations": [{"id": 6, "image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 2]}],
            },
            "annotations/instances_v.json: annotation 6 (category_id 7)",
        ),
        (
            "citypersons",
            "val",
            "gtBboxCityPersons/val/b/b_0_1_gtBboxCityPersons.json",
            {**IN_IMAGE, "objects": OBJECTS},
            "gtBboxCityPersons/val/b/b_0_1_gtBboxCityPersons.json: object[0] (cat)",
        ),
        (
            "caltech",
            "set00",
            "annotations/set00/V000/I00000.txt",
            "\ncat 1 2 3 4 0 0 0 0 0 0 0",
            "annotations/set00/V000/I00000.txt:2 (cat)",
        ),
        (
            "kitti-object",
            "training",
            "training/label_2/000000.txt",
            "Truck 0 0 0 1 1 2 2 1 1 1 1 1 1 0\nCat 0 0 0 1 1 2 2 1 1 1 1 1 1 0\n",
            "training/label_2/000000.txt:2 (Cat)",
        ),
        (
            "yolo",
            "train",
            "labels/train/a.txt",
            "1 .5 .5 .1 .1\n2 .5 .5 .1 .1\n",
            "labels/train/a.txt:2 (class 2)",
        ),
    ],
)
def test_unknown_categories_are_reported_and_ignored(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    format_name: str,
    split: str,
    path: str,
    content: object,
    where: str,
) -> None:
    put_image(tmp_path / "images/train/a.png")
    put_image(tmp_path / "training/image_2/000000.png")
    put_image(tmp_path / "images/set00/V000/I00000.jpg")
    put_image(tmp_path / "images/a.jpg", 9, 9)
    put(tmp_path / "data.yaml", "names: [person, car]\n")
    put(tmp_path / path, content)
    read = read_published(format_name, tmp_path, split)
    assert [(a["ignore"], a["ignore_reason"]) for a in read["annotations"]] == [
        (1, "unknown_category")
    ]
    problem, *_, nobody = caplog.records  # between them a line about images that are not there
    assert f": 1 x unknown category ({where}): ignored" in problem.getMessage()
    assert nobody.getMessage() == (
        f"{tmp_path}: no pedestrian counts in the 1 images of the split {split!r}"
    )


def test_an_unknown_tracklet_is_reported_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_drive(
        tmp_path / "date/drive", tracklet("Van", 0, pose(11, 0)), tracklet("Cat", 1, pose(11, 0))
    )
    (entry,) = read_published("kitti-raw", tmp_path, "drive")["annotations"]
    assert (entry["image_id"], entry["ignore_reason"]) == (2, "unknown_category")
    assert "(date/drive/tracklet_labels.xml: tracklet[1], frame 1 (Cat))" in caplog.text


def test_convert_counts_unknown_categories_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    cat = {"category": "cat", "box2d": {"x1": 1, "y1": 1, "x2": 2, "y2": 2}}
    frame = {"name": "b-1.jpg", "size": {"width": 9, "height": 9}, "labels": [cat] * 5}
    put(tmp_path / "labels/det_20/det_val.json", [frame])
    convert(tmp_path, "bdd100k", "val", tmp_path / "val.json")
    record = caplog.records[0]
    assert len(caplog.records) == 3  # and of missing images, and of the source without people
    assert "5 x unknown category" in record.getMessage()
    assert "label[2] (cat), …): ignored" in record.getMessage()
    assert "0 pedestrians, 5 ignored: unknown_category 5" in capsys.readouterr().out


def test_all_images_without_a_size_are_counted(tmp_path: Path) -> None:
    frames = [{"name": f"b-{n}.jpg"} for n in range(5)]
    put(tmp_path / "labels/det_20/det_val.json", frames)
    put(tmp_path / "images/100k/val/b-0.jpg", "no image")
    put_image(tmp_path / "images/100k/val/b-4.jpg")
    with pytest.raises(TrainingDataError, match="4 x image without a readable size") as error:
        read_published("bdd100k", tmp_path, "val")
    message = str(error.value)
    assert "frame b-0.jpg: images/100k/val/b-0.jpg: expected an image, it is unreadable" in message
    assert "frame b-1.jpg: images/100k/val/b-1.jpg: expected an image file, it is mis" in message
    assert "b-3.jpg" not in message


@pytest.mark.parametrize(
    ("format_name", "split", "image", "labels"),
    [
        ("kitti-object", "training", "training/image_2/000000.png", "training/label_2/000000.txt"),
        ("yolo", "train", "images/train/a.jpg", "labels/train/a.txt"),
        ("caltech", "set00", "images/set00/V000/I00000.jpg", "annotations/set00/V000/I00000.txt"),
    ],
)
def test_a_corrupt_image_is_named(
    tmp_path: Path, format_name: str, split: str, image: str, labels: str
) -> None:
    put(tmp_path / image, "no image")
    put(tmp_path / labels, "")
    with pytest.raises(TrainingDataError, match=f"1 x image without a readable .*{image}: expect"):
        read_published(format_name, tmp_path, split)


def test_annotations_of_images_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    lost = [{"id": n, "image_id": 8, "category_id": 1, "bbox": [1, 1, 2, 2]} for n in range(5)]
    put(tmp_path / "annotations/instances_v.json", {**COCO, "annotations": lost})
    message = (
        r"instances_v\.json: 5 x annotation of an image that is not listed \(annotation 0 \(8\)"
    )
    with pytest.raises(TrainingDataError, match=message):
        read_published("coco", tmp_path, "v")


def test_a_broken_tracklet_file_is_named(tmp_path: Path) -> None:
    drive = tmp_path / "2011_09_26/drive"
    write_drive(drive, "<item><objectType>Pedestrian</objectType></item>")
    with pytest.raises(TrainingDataError, match=r"labels\.xml: tracklet\[0\]: .*without <first_"):
        read_published("kitti-raw", tmp_path, "drive")
    put(drive / "tracklet_labels.xml", "<boost_serialization>")
    with pytest.raises(TrainingDataError, match=r"tracklet_labels\.xml: expected KITTI tracklets"):
        read_published("kitti-raw", tmp_path, "drive")


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_empty_folder_is_refused(tmp_path: Path, format_name: str) -> None:
    with pytest.raises(TrainingDataError, match="expected"):
        read_published(format_name, tmp_path, "train")


def test_unknown_format_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"expected one of bdd100k, .* got voc"):
        read_published("voc", tmp_path, "train")
    with pytest.raises(TrainingDataError, match="root folder"):
        read_published("yolo", tmp_path / "gone", "train")
