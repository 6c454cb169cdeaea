from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tasksr_training.coco import ReadConfig, read_coco, read_folder, read_set
from tasksr_training.errors import TrainingDataError

from tasksr_ros.io.recordings import open_recording


def test_reads_images_boxes_and_ignore(data: Path) -> None:
    images = read_coco(data / "val.json")
    first = json.loads((data / "val.json").read_text())["annotations"][0]["bbox"]
    assert [i.image_id for i in images] == [10, 11]
    assert images[0].image.shape == (128, 160, 3)
    assert images[0].ignore.tolist() == [False, True]
    x, y, w, h = first
    assert images[0].boxes[0].tolist() == [x, y, x + w, y + h]
    assert images[0].image[y + 1, x + 1].tolist() == [20, 30, 60]  # RGB as written


def change(data: Path, out: Path, **content: object) -> Path:
    """A copy of the validation set's annotations with some content replaced, beside links."""
    (out / "images").mkdir()
    for path in (data / "images").iterdir():
        (out / "images" / path.name).write_bytes(path.read_bytes())
    path = out / "changed.json"
    path.write_text(json.dumps({**json.loads((data / "val.json").read_text()), **content}))
    return path


@pytest.mark.parametrize("extra", [{"iscrowd": 1}, {"ignore": 1}, {"ignore": "true"}])
def test_crowds_are_ignored(data: Path, tmp_path: Path, extra: dict[str, object]) -> None:
    annotations = [{"image_id": 10, "bbox": [3, 3, 5, 9], **extra}]
    assert read_coco(change(data, tmp_path, annotations=annotations))[0].ignore.tolist() == [True]


@pytest.mark.parametrize("extra", [{"iscrowd": "0"}, {"ignore": "false"}])
def test_flags_may_be_words(data: Path, tmp_path: Path, extra: dict[str, object]) -> None:
    annotations = [{"image_id": 10, "bbox": [3, 3, 5, 9], **extra}]
    assert read_coco(change(data, tmp_path, annotations=annotations))[0].ignore.tolist() == [False]


def test_hardly_visible_people_are_ignored_if_wanted(data: Path, tmp_path: Path) -> None:
    annotations = [
        {"image_id": 10, "bbox": [3, 3, 5, 9], "vis_ratio": 0.2},
        {"image_id": 10, "bbox": [3, 3, 5, 9], "vis_ratio": 0.5},
        {"image_id": 10, "bbox": [3, 3, 5, 9]},
    ]
    path = change(data, tmp_path, annotations=annotations)
    assert read_coco(path)[0].ignore.tolist() == [False] * 3
    image = read_coco(path, ReadConfig(min_vis_ratio=0.4))[0]
    assert image.ignore.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("entry", "left", "message"),
    [
        ({"bbox": [3, 3, 0, 9]}, [], "1 x box without area (annotation 7 (of image 10)): dropped"),
        ({"bbox": [3, 3, 4, 0]}, [], "1 x box without area"),
        ({"bbox": [160, 3, 4, 5]}, [], "1 x box outside the image (annotation 7 (of image 10))"),
        ({"category_id": 5}, [True], "1 x unknown category (annotation 7 (of image 10)): ignored"),
        ({"category_id": 2}, [], "1 x other category (annotation 7 (of image 10)): dropped"),
        ({"category_id": None}, [True], "1 x unknown category (annotation 7 (of image 10))"),
    ],
)
def test_odd_entries_are_counted_and_training_goes_on(
    data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    entry: dict[str, object],
    left: list[bool],
    message: str,
) -> None:
    sizes = [
        {"id": n, "file_name": f"images/val{n - 10}.png", "width": 160, "height": 128}
        for n in (10, 11)
    ]
    categories = [{"id": 1, "name": "Person"}, {"id": 2, "name": "car"}]
    odd = {"id": 7, "image_id": 10, "category_id": 1, "bbox": [3, 3, 5, 9], **entry}
    good = {"id": 8, "image_id": 10, "category_id": 1, "bbox": [30, 3, 5, 9]}
    path = change(data, tmp_path, images=sizes, annotations=[odd, good], categories=categories)
    assert read_coco(path)[0].ignore.tolist() == [*left, False]
    assert [r.getMessage() for r in caplog.records if message in r.getMessage()] != []
    assert len(caplog.records) == 1
    assert "changed.json" in caplog.text


@pytest.mark.parametrize(
    ("image", "entry", "message"),
    [
        ({}, {"vis_ratio": "much"}, r"1 x malformed annotation \(annotation 7"),
        ({}, {"category_id": [1]}, r"1 x malformed annotation \(annotation 7"),
        ({}, {"vis_ratio": 80}, r"1 x malformed annotation .*vis_ratio a number from 0 to 1"),
        ({}, {"vis_ratio": ""}, r"1 x malformed annotation \(annotation 7"),
        ({}, {"category_id": []}, r"1 x malformed annotation \(annotation 7"),
        ({}, {"bbox": [10**400, 3, 5, 9]}, r"1 x malformed annotation \(annotation 7"),
        ({}, {"bbox": [3, 3, 4, -2]}, r"1 x inverted box \(annotation 7 \(of image 10\)\)"),
        ({"frame": ""}, {}, r"1 x malformed image entry \(image 10"),
        ({"frame": "first"}, {}, r"1 x malformed image entry \(image 10"),
        ({"width": "160"}, {}, r"1 x malformed image entry \(image 10"),
    ],
)
def test_values_of_another_type_are_named(
    data: Path, tmp_path: Path, image: dict[str, Any], entry: dict[str, Any], message: str
) -> None:
    images = [{"id": 10, "file_name": "images/val0.png", **image}]
    annotations = [{"id": 7, "image_id": 10, "category_id": 1, "bbox": [3, 3, 5, 9], **entry}]
    path = change(data, tmp_path, images=images, annotations=annotations)
    with pytest.raises(TrainingDataError, match=message):
        read_coco(path)


@pytest.mark.parametrize(("given", "sequence"), [(None, ""), (0, "0"), ("a", "a")])
def test_a_sequence_of_null_is_none(
    data: Path, tmp_path: Path, given: object, sequence: str
) -> None:
    images = [{"id": 10, "file_name": "images/val0.png", "sequence": given, "frame": None}]
    assert read_coco(change(data, tmp_path, images=images, annotations=[]))[0].sequence == sequence


def cut_off(path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 255, (128, 160, 3), np.uint8)
    assert cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes()[:-3000])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"changed\.json: 1 x missing image \(image 10 \(images/val0\.png\)\)"),
        ("cut off", r"1 x corrupt image \(image 10 \(images/val0\.png\): .*val0\.png: "),
        ("no image", r"1 x corrupt image .*val0\.png: expected an image, it is unreadable"),
        ("size", r"1 x image of another size \(image 10 .*: 100x50 px said, 160x128 px\)"),
    ],
)
def test_bad_images_stop_training_or_are_skipped(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, message: str
) -> None:
    path = change(data, tmp_path)
    image = tmp_path / "images" / "val0.png"
    if kind == "missing":
        image.unlink()
    elif kind == "cut off":
        cut_off(image)
    elif kind == "no image":
        image.write_text("no image")
    else:
        content = json.loads(path.read_text())
        content["images"][0].update(width=100, height=50)
        content["annotations"] = []
        path.write_text(json.dumps(content))
    with pytest.raises(TrainingDataError, match=message):
        read_coco(path)
    images = read_coco(path, ReadConfig(on_bad_image="skip"))
    assert [i.image_id for i in images] == [11]
    assert re.search(message, caplog.text)


def test_only_the_first_bad_images_are_named(data: Path, tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"gone{n}.jpg"} for n in range(9)]
    path = change(data, tmp_path, images=images, annotations=[])
    with pytest.raises(TrainingDataError, match=r"9 x missing image .*gone2\.jpg\), …\)"):
        read_coco(path)
    with pytest.raises(TrainingDataError, match="expected images that can be read, found none"):
        read_coco(path, ReadConfig(on_bad_image="skip"))


def test_a_jpeg_that_was_cut_off_is_noticed(tmp_path: Path) -> None:
    cut_off(tmp_path / "a.jpg")
    assert cv2.imread(str(tmp_path / "a.jpg")) is not None, "OpenCV fills it up with grey"
    with pytest.raises(TrainingDataError, match=r"a\.jpg: expected a whole image, got"):
        read_folder(tmp_path)


def test_bad_images_of_a_folder_are_skipped_if_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.full((64, 64, 3), 90, np.uint8))
    cut_off(tmp_path / "a.jpg")
    (tmp_path / "c.jpg").write_bytes(b"")
    with pytest.raises(TrainingDataError, match=r"2 x corrupt image \(.*a\.jpg.*c\.jpg"):
        read_folder(tmp_path)
    assert [i.name for i in read_folder(tmp_path, ReadConfig("skip"))] == ["b.jpg"]
    assert "2 x corrupt image" in caplog.text
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(TrainingDataError, match="expected images that can be read, found none"):
        read_set(tmp_path, ".", ReadConfig("skip"))


def test_a_box_outside_an_image_whose_size_the_file_does_not_give_is_dropped(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotations = [{"image_id": 10, "bbox": [900, 3, 5, 9]}, {"image_id": 10, "bbox": [3, 3, 5, 9]}]
    (first, *_) = read_coco(change(data, tmp_path, annotations=annotations))
    assert first.boxes.tolist() == [[3, 3, 8, 12]]
    where = "1 x box outside the image (image 10 (images/val0.png), box 900, 3, 905, 12): dropped"
    assert where in caplog.text


def test_folder_is_read_in_order_without_boxes(data: Path) -> None:
    images = read_folder(data / "images")
    assert [i.name for i in images] == sorted(p.name for p in (data / "images").iterdir())
    assert images[0].boxes.shape == (0, 4)


def test_pattern_reads_all_files(data: Path) -> None:
    assert len(read_set(data, "*.json")) == 6
    with pytest.raises(TrainingDataError, match="expected a COCO JSON file or a folder"):
        read_set(data, "nothing/*.json")


def wrong(content: object, tmp_path: Path) -> str:
    path = tmp_path / "set.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(TrainingDataError) as error:
        read_coco(path)
    assert "set.json" in str(error.value) or "gone.jpg" in str(error.value)
    return str(error.value)


def test_bad_annotation_files(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "gone.jpg"}
    lost = {"id": 7, "image_id": 2, "bbox": [0, 0, 1, 1]}
    assert "JSON" in wrong("no json", tmp_path)
    assert "images" in wrong({"annotations": []}, tmp_path)
    assert "1 x missing image" in wrong({"images": [image], "annotations": []}, tmp_path)
    assert "annotation 7" in wrong({"images": [image], "annotations": [lost]}, tmp_path)
    twice = wrong({"images": [image, image], "annotations": []}, tmp_path)
    assert "malformed image entry (image 1 (gone.jpg))" in twice
    for box in ([0, 0, 1], [0, 0, 1, float("nan")], "box"):
        annotations = [{**lost, "image_id": 1, "bbox": box}, "x"]
        message = wrong({"images": [image], "annotations": annotations}, tmp_path)
        assert "2 x malformed annotation (annotation 7 (of image 1), annotation[1])" in message
    cars = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "car"}]}
    assert "expected a category pedestrian or person, got car" in wrong(cars, tmp_path)
    with pytest.raises(TrainingDataError, match="there is none"):
        read_coco(tmp_path / "absent.json")


@pytest.mark.parametrize("categories", [[], [{"id": 1}, {"id": 3}]])
def test_several_categories_without_names_are_refused(
    data: Path, tmp_path: Path, categories: list[dict[str, int]]
) -> None:
    """Cars would be people."""
    boxes = [{"image_id": 10, "bbox": [3, 3, 5, 9], "category_id": c} for c in (1, 3)]
    path = change(data, tmp_path, annotations=boxes, categories=categories)
    message = "expected names of categories, got none for category_id 1, 3: which is people?"
    with pytest.raises(TrainingDataError, match=re.escape(message)):
        read_coco(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": boxes[1:]}))
    assert [len(i.boxes) for i in read_coco(path)] == [1, 0]


def test_corrupt_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(np.arange(100, dtype=np.uint8)))
    with pytest.raises(TrainingDataError, match="unreadable"):
        read_folder(tmp_path)


@pytest.mark.parametrize("kind", ["grey image", "16-bit image", "dark 16-bit image"])
def test_grey_and_16_bit_images_are_counted_and_training_goes_on(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = change(data, tmp_path)
    file = tmp_path / "images/val0.png"
    colour = cv2.imread(str(file))
    if kind == "grey image":
        stored = colour[..., 1]
        expected = np.repeat(stored[..., None], 3, 2)
    elif kind == "16-bit image":
        stored = colour.astype(np.uint16) * 257
        expected = colour[..., ::-1]
    else:  # 12 bits, right-aligned
        stored = colour.astype(np.uint16) * 16
        expected = np.rint(colour[..., ::-1] * (16 / 257))  # as `tasksr detect` scales
    cv2.imwrite(str(file), stored)
    images = read_coco(path)
    assert [i.image_id for i in images] == [10, 11]
    assert images[0].image.dtype == np.uint8
    assert np.array_equal(images[0].image, expected)
    assert f"1 x {kind} (image 10 (images/val0.png)): kept" in caplog.text
    caplog.clear()
    read_folder(tmp_path / "images")
    assert f"1 x {kind} (val0.png): kept" in caplog.text


def test_pixels_are_those_that_detect_sees(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """White of a PGM's own, a transparent TIFF, a photo that EXIF turns."""
    samples = np.array([[0, 4095], [2048, 1024]], ">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(b"P5\n2 2\n4095\n" + samples)
    Image.new("RGBA", (2, 1), (30, 10, 200, 40)).save(tmp_path / "b.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (2, 1), (30, 10, 200)).save(tmp_path / "c.png", exif=exif)
    grey, colour, turned = (one.image for one in read_folder(tmp_path))
    assert grey[..., 0].tolist() == [[0, 255], [128, 64]]
    assert colour.tolist() == [[[30, 10, 200], [30, 10, 200]]]
    assert turned.shape == (2, 1, 3)
    assert "1 x 16-bit image (a.pgm): kept: scaled to 8 bits" in caplog.text
    assert "dark" not in caplog.text
    recording = open_recording(tmp_path)
    for mine, frame in zip((grey, colour, turned), recording.pending(), strict=True):
        assert np.array_equal(mine[..., ::-1], frame.load().image)


def test_images_without_labels_are_backgrounds(data: Path, tmp_path: Path) -> None:
    images = read_coco(change(data, tmp_path, annotations=[]))
    assert [len(i.boxes) for i in images] == [0, 0]


def test_where_far_people_may_lack_a_label(data: Path, tmp_path: Path) -> None:
    listed = json.loads((data / "val.json").read_text())["images"]
    known = [{**listed[0], "dontcare_known": True}, {**listed[1], "dontcare_known": False}]
    path = change(data, tmp_path, images=known)
    assert [i.labelled_from for i in read_coco(path)] == [0, 0]
    images = read_coco(path, ReadConfig(far_height=25.0))
    assert [i.labelled_from for i in images] == [0, 25]


@pytest.mark.parametrize(
    ("ids", "found"), [(("7", "8"), [7, 8]), ((7.0, 8.0), [7, 8]), (("a7", "a8"), ["a7", "a8"])]
)
def test_ids_as_texts_as_in_the_evaluation(
    data: Path, tmp_path: Path, ids: tuple[Any, Any], found: list[Any]
) -> None:
    images = [{"id": i, "file_name": f"images/val{k}.png"} for k, i in enumerate(ids)]
    people = [{"image_id": i, "category_id": "1", "bbox": [3, 3, 5, 9]} for i in ids]
    named = [{"id": 1.0, "name": " Person"}, {"id": 2, "name": "car"}]
    path = change(data, tmp_path, images=images, annotations=people, categories=named)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    read = read_coco(path)
    assert [image.image_id for image in read] == found
    assert [image.boxes.tolist() for image in read] == [[[3, 3, 8, 12]]] * 2


@pytest.mark.parametrize(
    ("boxes", "form"),
    [
        ([[90, 60, 120, 100], [80, 70, 140, 110], [70, 64, 150, 120]], r"corners \(x0, y0, x1, y1"),
        ([[0.5, 0.5, 0.1, 0.2]], "shares of the image's size"),
    ],
)
def test_boxes_in_another_form_stop(
    data: Path, tmp_path: Path, boxes: list[list[float]], form: str
) -> None:
    images = [{"id": 10, "file_name": "images/val0.png", "width": 160, "height": 128}]
    annotations = [{"image_id": 10, "bbox": box} for box in boxes]
    with pytest.raises(TrainingDataError, match=rf"1 x file of boxes in another form .{form}"):
        read_coco(change(data, tmp_path, images=images, annotations=annotations))


def test_a_box_that_stands_there_twice_is_told(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = {"image_id": 10, "bbox": [3, 3, 5, 9]}
    people = [{**box, "id": 1}, {**box, "id": 2}, {**box, "id": 3, "ignore": 1}]
    assert len(read_coco(change(data, tmp_path, annotations=people))[0].boxes) == 3
    assert "1 x repeated box (annotation 2 (of image 10)): kept" in caplog.text
