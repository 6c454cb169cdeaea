from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tasksr_training.coco import read_coco, read_folder, read_set
from tasksr_training.errors import TrainingDataError


def test_reads_images_boxes_and_ignore(data: Path) -> None:
    images = read_coco(data / "val.json")
    first = json.loads((data / "val.json").read_text())["annotations"][0]["bbox"]
    assert [i.image_id for i in images] == [10, 11]
    assert images[0].image.shape == (128, 160, 3)
    assert images[0].ignore.tolist() == [False, True]
    x, y, w, h = first
    assert images[0].boxes[0].tolist() == [x, y, x + w, y + h]
    assert images[0].image[y + 1, x + 1].tolist() == [20, 30, 60]  # RGB as written


@pytest.mark.parametrize(
    "extra", [{"iscrowd": 1}, {"ignore": 1}, {"bbox": [3, 3, 0, 9]}, {"bbox": [3, 3, -2, 9]}]
)
def test_crowds_and_boxes_without_area_are_ignored(data: Path, extra: dict[str, object]) -> None:
    content = json.loads((data / "val.json").read_text())
    content["annotations"] = [{"image_id": 10, "bbox": [3, 3, 5, 9], **extra}]
    path = data / "changed.json"
    path.write_text(json.dumps(content))
    assert read_coco(path)[0].ignore.tolist() == [True]


def test_folder_is_read_in_order_without_boxes(data: Path) -> None:
    images = read_folder(data / "images")
    assert [i.name for i in images] == sorted(p.name for p in (data / "images").iterdir())
    assert images[0].boxes.shape == (0, 4)


def test_pattern_reads_all_files(data: Path) -> None:
    (data / "changed.json").unlink(missing_ok=True)
    assert len(read_set(data, "*.json")) == 6
    with pytest.raises(TrainingDataError, match="found none"):
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
    assert "missing or unreadable" in wrong({"images": [image], "annotations": []}, tmp_path)
    assert "annotation 7" in wrong({"images": [image], "annotations": [lost]}, tmp_path)
    with pytest.raises(TrainingDataError, match="there is none"):
        read_coco(tmp_path / "absent.json")


def test_corrupt_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(np.arange(100, dtype=np.uint8)))
    with pytest.raises(TrainingDataError, match="unreadable"):
        read_folder(tmp_path)
