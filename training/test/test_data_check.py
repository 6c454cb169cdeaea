from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from published import put, put_image, write_drive
from tasksr_training import data_check, data_commands, data_report
from tasksr_training.cli import main
from tasksr_training.data_check import check_folder
from tasksr_training.errors import TrainingDataError


@pytest.fixture
def folder(data: Path, tmp_path: Path) -> Path:
    """A copy of the test set that a test may spoil."""
    return Path(shutil.copytree(data, tmp_path / "set"))


def change(folder: Path, name: str, **content: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))


def images(name: str, count: int, sequence: str = "") -> list[dict[str, object]]:
    size = {"width": 160, "height": 128, **({"sequence": sequence} if sequence else {})}
    return [{"id": n + 10, "file_name": f"images/{name}{n}.png", **size} for n in range(count)]


def test_counts(folder: Path) -> None:
    change(folder, "train.json", images=images("train", 4, "drive-1"))
    (folder / "other.json").write_text('{"answers": []}')
    report = check_folder(folder)
    train, val = report.splits
    assert (train.name, train.images, train.images_without_people) == ("train", 4, 0)
    assert (train.sequences, val.sequences) == ({"drive-1": 4}, {})
    assert (train.heights.tolist(), train.ignored) == ([50.0] * 4, {"no reason given": 4})
    assert (report.errors, report.warnings, report.left_out) == ([], [], ["other.json"])
    text = data_report.text(report)
    assert "train: 4 images of 1 drive, 160x128" in text
    assert "     48-64 px      4 ########################################" in text
    assert "errors: none" in text


def test_a_box_outside_an_image_whose_size_the_file_does_not_give(folder: Path) -> None:
    unsized = [{k: v for k, v in i.items() if k in ("id", "file_name")} for i in images("val", 2)]
    boxes = [[900, 3, 5, 30], [3, 3, 5, 30]]
    annotations = [{"id": n, "image_id": 10, "bbox": b} for n, b in enumerate(boxes)]
    change(folder, "val.json", images=unsized, annotations=annotations)
    report = check_folder(folder)
    assert report.splits[1].heights.tolist() == [30]
    assert "1 x box outside the image (image 10 (images/val0.png), box 900" in report.warnings[0]


def test_decoding_is_a_flag(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def check(folder: Path, decode: bool) -> data_check.FolderReport:
        asked.append(decode)
        return check_folder(folder, decode)

    monkeypatch.setattr(data_commands, "check_folder", check)
    options = ["data", "check", str(folder), f"--out={tmp_path / 'out'}"]
    assert main(options) == main([*options, "--decode"]) == 0
    assert asked == [False, True]


def test_heights_fall_into_bins() -> None:
    counts = data_report.bins(np.array([7.9, 8, 11.9, 12, 383, 384, 2000], np.float32))
    found = {name: count for name, count in counts.items() if count}
    assert found == {"< 8": 1, "8-12": 2, "12-16": 1, "256-384": 1, ">= 384": 2}


def test_boxes(folder: Path) -> None:
    boxes = [[-5, 3, 10, 20], [160, 3, 10, 20], [5, 5, 0, 20], [150, 100, 10, 28]]
    annotations = [
        {"id": n, "image_id": 10, "category_id": 1, "bbox": b} for n, b in enumerate(boxes)
    ]
    annotations.append({"id": 8, "image_id": 11, "category_id": 9, "bbox": [1, 1, 5, 9]})
    change(folder, "val.json", images=images("val", 2), annotations=annotations)
    report = check_folder(folder)
    assert report.errors == []
    assert [line.split("val.json: ")[1] for line in report.warnings] == [
        "1 x box without area (annotation 2 (of image 10)): dropped",
        "1 x box outside the image (annotation 1 (of image 10)): dropped",
        "1 x unknown category (annotation 8 (of image 11)): ignored: it is left open whether "
        "this is a pedestrian",
        "1 x box partly outside the image (annotation 0 (of image 10)): kept, and cut at the edge "
        "of the patch",
    ]
    val = report.splits[1]
    assert (len(val.heights), val.ignored) == (2, {"unknown category": 1})
    assert val.images_without_people == 1


def test_image_files(folder: Path) -> None:
    (folder / "images/train0.png").unlink()
    (folder / "images/train1.png").write_text("no image")
    sizes = images("train", 4)
    sizes[2]["width"] = 161
    change(folder, "train.json", images=sizes)
    shutil.copy(folder / "images/val0.png", folder / "images/val1.png")
    report = check_folder(folder)
    kinds = [line.split("train.json: ")[1].split(" (")[0] for line in report.errors]
    assert kinds == ["1 x missing image", "1 x corrupt image", "1 x image of another size"]
    assert "161x128 px said, 160x128 px" in report.errors[2]
    assert ["1 x repeated image (image 11 (images/val1.png) as" in w for w in report.warnings] == [
        True
    ]


def test_only_decoding_sees_broken_tables_of_a_jpeg(folder: Path) -> None:
    path = folder / "images/train0.png"  # the name does not matter
    noise = np.random.default_rng(1).integers(0, 255, (128, 160, 3), np.uint8)
    jpeg = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    table = jpeg.index(b"\xff\xc4") + 5  # past the marker, the length and the table's number
    jpeg[table : table + 16] = b"\xfe" * 16  # how many codes there are of each length
    path.write_bytes(jpeg)
    assert check_folder(folder).errors == []
    (line,) = check_folder(folder, decode=True).errors
    assert "1 x corrupt image (image 10 (images/train0.png)" in line


def test_splits_that_share_drives_or_images(folder: Path) -> None:
    change(folder, "train.json", images=images("train", 4, "drive-1"))
    change(folder, "val.json", images=images("val", 2, "drive-1"))
    shutil.copy(folder / "images/train3.png", folder / "images/val1.png")
    drives, files = check_folder(folder).errors
    assert drives.startswith("train and val share 1 drive: drive-1: ")
    assert files == "train and val share 1 image file: images/train3.png"


def test_kitti_object_and_raw_of_one_drive_share_it(tmp_path: Path) -> None:
    drive, out = "2011_09_26_drive_0005_sync", tmp_path / "set"
    write_drive(tmp_path / "raw/2011_09_26" / drive)
    put_image(tmp_path / "object/training/image_2/000000.png")
    put(tmp_path / "object/training/label_2/000000.txt", "")
    put(tmp_path / "object/mapping/train_mapping.txt", f"2011_09_26 {drive} 0000000109\n")
    put(tmp_path / "object/mapping/train_rand.txt", "1")
    data_commands.convert(tmp_path / "object", "kitti-object", "training", out / "object.json")
    data_commands.convert(tmp_path / "raw", "kitti-raw", "*", out / "raw.json")
    (line,) = check_folder(out).errors
    assert line.startswith("object and raw share 1 drive: 2011_09_26_drive_0005: ")


def test_splits_of_bdd100k_share_rides(tmp_path: Path) -> None:
    named = {"train": ("b24702e3-900f61ea", 64), "val": ("b24702e3-fe617f57", 48)}
    for split, (name, width) in named.items():
        put(tmp_path / f"labels/det_20/det_{split}.json", [{"name": f"{name}.jpg"}])
        put_image(tmp_path / f"images/100k/{split}/{name}.jpg", width)
        data_commands.convert(tmp_path, "bdd100k", split, tmp_path / f"set/{split}.json")
    (line,) = check_folder(tmp_path / "set").errors
    assert line.startswith("train and val share 1 drive: b24702e3: ")


RESULT = {"image_id": 10, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}


@pytest.mark.parametrize(
    "content", [[RESULT], [], {"detections": [RESULT]}, ["images"], "images", None, 3]
)
def test_json_without_images_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object
) -> None:
    (folder / "predictions.json").write_text(json.dumps(content))
    assert main(["data", "check", str(folder), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "JSON without images, left out: predictions.json\n" in printed
    assert "errors: none" in printed


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"images": []}', "got no 'annotations'"),
        ('{"images": {}, "annotations": []}', "got no list of images"),
        (
            '{"images": [], "annotations": [], "categories": [{"images": 1}]}',
            "got categories[0] must have an id",
        ),
        ('[{"image_id": 10', "got no JSON (Expecting"),
    ],
)
def test_broken_coco_files_are_errors(folder: Path, content: str, found: str) -> None:
    (folder / "test.json").write_text(content)
    report = check_folder(folder)
    (line,) = report.errors
    assert "test.json: expected COCO JSON, got " in line and found in line
    assert report.left_out == []


def test_a_link_to_nowhere_is_an_error(folder: Path) -> None:
    (folder / "test.json").symlink_to("gone")
    (line,) = check_folder(folder).errors
    assert line.endswith("test.json: expected a COCO JSON file, there is none")


def test_files_that_cannot_be_read_are_errors(folder: Path, tmp_path: Path) -> None:
    (folder / "val.json").write_text('{"images": [')
    (line,) = check_folder(folder).errors
    assert "val.json: expected COCO JSON" in line
    with pytest.raises(TrainingDataError, match="expected a folder"):
        check_folder(tmp_path / "gone")
    with pytest.raises(TrainingDataError, match="expected COCO JSON files, found none"):
        check_folder(folder / "images")


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["data", "check", str(folder), "--out", str(out)]) == 0
    assert "val: 2 images" in capsys.readouterr().out
    assert json.loads((out / "set.json").read_text())["splits"]["val"]["pedestrians"] == 2
    assert cv2.imread(str(out / "set.png")).shape[:2] == (600, 840)
    (folder / "images/val0.png").unlink()
    assert main(["data", "check", str(folder), "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert "1 x missing image (image 10 (images/val0.png))" in captured.out
    assert captured.err.startswith("tasksr-train: ") and "1 errors, said above" in captured.err


def test_converted_sets_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "yolo"
    (source / "images/train").mkdir(parents=True)
    (source / "labels/train").mkdir(parents=True)
    cv2.imwrite(str(source / "images/train/a.png"), np.zeros((32, 64, 3), np.uint8))
    (source / "labels/train/a.txt").write_text("0 0.5 0.5 0.25 0.5\n2 .5 .5 .1 .1\n")
    out = tmp_path / "sets/mine/train.json"
    options = ["--format", "yolo", "--split", "train", "--out", str(out)]
    assert main(["data", "convert", str(source), *options]) == 0
    printed = capsys.readouterr().out
    assert "1 images, 1 pedestrians, 0 ignored\nleft out as no people: class 2 1\n" in printed
    assert json.loads(out.read_text())["images"][0]["file_name"] == (
        "../../yolo/images/train/a.png"
    )
    report = check_folder(out.parent)
    assert (report.errors, len(report.splits[0].heights)) == ([], 1)
    options[1] = "voc"
    assert main(["data", "convert", str(source), *options]) == 1
    assert "expected one of bdd100k" in capsys.readouterr().err
