"""Detectors of others: files of four families, against runners written from their documentation.

The runners take the files as they are, at their own size, through the library that they are for,
and make boxes with loops over cells; ours go through import, bundle and engine.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from tasksr_ros.bundle import load_bundle
from tasksr_ros.bundle.export_onnx import export_onnx
from tasksr_ros.bundle.import_detector import REGION, Import, _side, import_detector
from tasksr_ros.config import EngineConfig, NearConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.engines.openvino_library import openvino_core, ov
from tasksr_ros.engines.verification import example_regions
from tasksr_ros.errors import TaskSRError
from tasksr_ros.model import load_model

Image = NDArray[np.uint8]
Boxes = list[tuple[float, ...]]
"""x0, y0, x1, y1, score of everyone."""

ALONE = NearConfig(width=0)
"""Without the near pass."""
LEAST = 0.05
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@functools.cache
def session(file: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(file))


@functools.cache
def compiled(file: Path) -> ov.CompiledModel:
    return openvino_core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def picodet(file: Path, image: Image) -> Boxes:
    given = ((image - np.array(MEAN)) / np.array(STD)).transpose(2, 0, 1)[None].astype(np.float32)
    outputs = session(file).run(None, {"image": given})
    found = []
    for scores, distances, stride in zip(outputs[:4], outputs[4:], (8, 16, 32, 64), strict=True):
        columns = -(-image.shape[1] // stride)
        for k in np.flatnonzero(scores[0, :, 0] >= LEAST):
            row, column = divmod(int(k), columns)
            sides = []
            for logits in distances[0, k].reshape(4, 8):
                weights = np.exp(logits - logits.max())
                sides.append(stride * float((weights * np.arange(8)).sum() / weights.sum()))
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            left, top, right, bottom = sides
            found.append((x - left, y - top, x + right, y + bottom, float(scores[0, k, 0])))
    return found


def yolox(file: Path, image: Image) -> Boxes:
    given = image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    (output,) = session(file).run(None, {"images": given})
    found, k = [], 0
    for stride in (8, 16, 32):
        for row in range(image.shape[0] // stride):
            for column in range(image.shape[1] // stride):
                cx, cy, w, h, objectness, person = output[0, k, :6]
                k += 1
                if objectness * person < LEAST:
                    continue
                x, y = (cx + column) * stride, (cy + row) * stride
                half_w, half_h = np.exp(w) * stride / 2, np.exp(h) * stride / 2
                box = (x - half_w, y - half_h, x + half_w, y + half_h)
                found.append((*map(float, box), float(objectness * person)))
    return found


def detr(file: Path, image: Image) -> Boxes:
    given = (image / 255).transpose(2, 0, 1)[None].astype(np.float32)
    size = np.array([[image.shape[1], image.shape[0]]], np.int64)
    labels, boxes, scores = session(file).run(None, {"images": given, "orig_target_sizes": size})
    return [
        (*map(float, box), float(score))
        for label, box, score in zip(labels[0], boxes[0], scores[0], strict=True)
        if label == 0 and score >= LEAST
    ]


def boxes(file: Path, image: Image) -> Boxes:
    results = compiled(file)([image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)])
    return [tuple(map(float, row)) for row in results["boxes"] if row[4] >= LEAST]


FILES: dict[str, tuple[str, tuple[int, int], Callable[[Path, Image], Boxes]]] = {
    "picodet": ("picodet_s_416_coco.onnx", (416, 416), picodet),
    "yolox": ("yolox_nano_coco.onnx", (416, 416), yolox),
    "detr": ("deimv2_hgnetv2_femto_coco.onnx", (416, 416), detr),
    "boxes": ("person-detection-0203.xml", (864, 480), boxes),
}


def imported(folder: Path, decoder: str, out: Path, **more: Any) -> Path:
    """A bundle of one of the files in ``folder``."""
    names = out.parent / f"{out.name}.txt"
    names.write_text("person\n")
    what = {
        "file": folder / FILES[decoder][0],
        "decoder": decoder,
        "classes": str(names) if decoder == "boxes" else "coco",
        "keep": ["person"],
        "out": out,
    }
    import_detector(Import(**{**what, **more}))
    return out


@pytest.fixture(scope="module", autouse=True)
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is empty at first; what an import tries is then there for its test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def bundles(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Bundles of the files at their own size, each imported once."""
    place = tmp_path_factory.mktemp("imported")

    def bundle(decoder: str) -> Path:
        out = place / decoder
        if not out.is_dir():
            imported(shared / "weights", decoder, out, region=FILES[decoder][1])
        return out

    return bundle


def crops(shared: Path, size: tuple[int, int], number: int = 10) -> list[Image]:
    """Of real images, around people."""
    folder = shared / "data" / "camvid"
    truth = json.loads((folder / "val.json").read_text())
    files = {image["id"]: image["file_name"] for image in truth["images"]}
    people = {a["image_id"]: a["bbox"] for a in truth["annotations"] if a["bbox"][3] > 60}
    width, height = size
    found = []
    for image_id in sorted(people)[:: len(people) // number][:number]:
        image = cv2.imread(str(folder / files[image_id]))
        x, y = (int(v) for v in people[image_id][:2])
        x = min(max(0, x - width // 2), image.shape[1] - width)
        y = min(max(0, y - height // 2), image.shape[0] - height)
        found.append(np.ascontiguousarray(image[y : y + height, x : x + width, ::-1]))
    return found


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(
        0.0, min(a[3], b[3]) - max(a[1], b[1])
    )
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("decoder", list(FILES))
def test_boxes_are_those_of_a_runner_of_the_file(
    shared: Path, bundles: Callable[[str], Path], decoder: str, engine: str
) -> None:
    file, size, runner = FILES[decoder]
    if engine == "onnxruntime" and decoder == "boxes":
        pytest.skip("the file is OpenVINO's: ONNX Runtime cannot read it")
    bundle = load_bundle(bundles(decoder))
    run = build_engine(bundle, EngineConfig(name=engine))
    images = crops(shared, size)
    found = run(np.stack(images))
    total = 0
    for k, image in enumerate(images):
        expected = sorted(runner(shared / "weights" / file, image), key=lambda row: -row[4])
        likely = found.scores[k] >= LEAST
        boxes, scores = found.boxes[k][likely], found.scores[k][likely]
        rows = [(*box, score) for box, score in zip(boxes, scores, strict=True)]
        total += len(expected)
        assert abs(len(rows) - len(expected)) <= 1  # one may lie on the threshold
        for theirs in expected:
            if theirs[4] < LEAST + 1e-3:
                continue
            best = max(rows, key=lambda row: iou(row, theirs) - abs(row[4] - theirs[4]))
            assert iou(best, theirs) >= 0.99
            assert abs(best[4] - theirs[4]) <= 1e-3
        assert (found.class_ids[k] == 0).all()
    assert total >= 20, "the images must hold people"


@pytest.mark.slow
def test_another_size_finds_the_same_people(shared: Path, bundles: Callable[[str], Path]) -> None:
    """PicoDet's file names 52, 26 and 13 cells; freed of them it takes a larger region."""
    bundle = bundles("picodet")
    config = EngineConfig(region_width=640, region_height=416)
    large = load_model(bundle, config, ALONE).engine
    own = load_model(bundle, near=ALONE).engine
    (image,) = crops(shared, (640, 416), 1)
    middle = np.ascontiguousarray(image[None, :, 112:528])
    strongest = own(middle).scores.max()
    assert large(image[None]).scores.max() == pytest.approx(strongest, abs=0.05)
    assert large(image[None]).scores.shape[1] == 80 * 52 + 40 * 26 + 20 * 13 + 10 * 7


@pytest.mark.parametrize(
    ("factor", "fixed", "region"),
    [
        (1, False, (640, 384)),
        (1.5, False, (384, 256)),
        (2, False, (320, 192)),
        (2, True, (320, 192)),
    ],
)
def test_regions_are_of_sizes_that_the_detector_takes_enlarged(
    factor: float, fixed: bool, region: tuple[int, int]
) -> None:
    detector: Any = SimpleNamespace(fixed=fixed)
    assert tuple(_side(side, factor, detector) for side in REGION) == region


@pytest.mark.slow
@pytest.mark.parametrize(("sr", "region"), [("bicubic", (208, 208)), ("tdsr-ss-x2", (208, 208))])
def test_super_resolution_goes_before_it(
    shared: Path, tmp_path: Path, sr: str, region: tuple[int, int]
) -> None:
    out = imported(shared / "weights", "picodet", tmp_path / "x2", sr=sr, region=region)
    bundle = load_bundle(out)
    assert (bundle.scale_factor, bundle.sr_size) == (2, (416, 416))
    images = np.stack(crops(shared, region, 2))
    found, other = (
        load_model(out, name, ALONE).engine(images) for name in ("openvino", "onnxruntime")
    )
    np.testing.assert_allclose(found.scores, other.scores, atol=1e-3)
    enlarged = [cv2.resize(image, (416, 416), interpolation=cv2.INTER_CUBIC) for image in images]
    if sr == "bicubic":  # torch's and OpenCV's are the same function
        best = [
            max(row[4] for row in picodet(shared / "weights" / FILES["picodet"][0], e))
            for e in enlarged
        ]
        assert found.scores.max(1) == pytest.approx(best, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "region"), [("yolox", (208, 208)), ("detr", (208, 208)), ("boxes", (432, 240))]
)
def test_bicubic_goes_before_each(
    shared: Path, tmp_path: Path, decoder: str, region: tuple[int, int]
) -> None:
    file, size, runner = FILES[decoder]
    out = imported(shared / "weights", decoder, tmp_path / "x2", sr="bicubic", region=region)
    images = crops(shared, region, 2)
    found = load_model(out, "openvino", ALONE).engine(np.stack(images))
    enlarged = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in images]
    best = [max(row[4] for row in runner(shared / "weights" / file, e)) for e in enlarged]
    assert found.scores.max(1) == pytest.approx(best, abs=0.02)


@pytest.mark.slow
def test_an_exported_graph_computes_what_the_product_does(tmp_path: Path) -> None:
    """`export-onnx tdsr-ss-x4`, in ONNX Runtime and in OpenVINO, beside our engine."""
    file = tmp_path / "tdsr.onnx"
    text = export_onnx("tdsr-ss-x4", file)
    assert "regions (N, 96, 320, 3) uint8 RGB -> boxes (N, A, 4) in px of 1280x384" in text
    regions = example_regions((320, 96), 2)
    ours = load_model("tdsr-ss-x4", near=ALONE).engine(regions)
    theirs = session(file).run(None, {"regions": regions})
    again = list(compiled(file)([regions]).values())
    for boxes, scores, class_ids in (theirs, again):
        np.testing.assert_allclose(scores, ours.scores, atol=1e-3)
        np.testing.assert_allclose(boxes, ours.boxes, atol=1e-2)
        assert (class_ids == 0).all()
    assert not re.search(rb"/[a-z]+/[a-z_]+/.*\.py", file.read_bytes()), "no paths of this machine"


def edited(shared: Path, out: Path, edit: Callable[[onnx.ModelProto], None]) -> Path:
    """A copy of YOLOX's file, changed."""
    model = onnx.load(shared / "weights" / FILES["yolox"][0])
    edit(model)
    onnx.save(model, out)
    return out


def nan(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[5].op_type = "Teleport"
    model.graph.node[5].domain = "example.org"
    model.opset_import.append(onnx.helper.make_opsetid("example.org", 1))


def more_outputs(model: onnx.ModelProto) -> None:
    for name in ("copy", "another"):
        model.graph.node.append(onnx.helper.make_node("Identity", ["output"], [name]))
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3549, 85])
        )


def no_outputs(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def data_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    tensor.ClearField("raw_data")


@pytest.mark.parametrize(
    ("edit", "options", "message"),
    [
        (nan, {}, "have values that are not finite"),
        (unknown_operator, {}, "Teleport"),
        (more_outputs, {}, r"decoder yolox expected outputs \(1, cells, 5 \+ classes\), got"),
        (no_outputs, {}, r"decoder yolox expected outputs \(1, cells, 5 \+ classes\), got none"),
        (data_elsewhere, {}, r"expected external data in its folder, got '\.\./\.\./"),
        (None, {"decoder": "picodet"}, "decoders that would fit: yolox"),
        (None, {"decoder": "yolo"}, "decoder must be one of yolox, picodet"),
        (None, {"classes": "two"}, "expected 80 classes, as its outputs have, got 2 of"),
        (None, {"classes": "coco92"}, "classes must be coco, coco91 or a file"),
        (None, {"keep": ["pedestrian"]}, "keep must be of coco's classes, got 'pedestrian'"),
        (None, {"sr": "picodet-s-x1"}, "with super-resolution, got picodet-s-x1"),
        (None, {"sr": "bicubic", "scale_factor": 1.0}, "scale-factor must be more than 1"),
        (None, {"decoder_options": {"stride": "8"}}, "decoder yolox: .*'stride'"),
    ],
)
def test_what_does_not_serve_is_one_line(
    shared: Path,
    tmp_path: Path,
    edit: Callable[[onnx.ModelProto], None] | None,
    options: dict[str, Any],
    message: str,
) -> None:
    file = shared / "weights" / FILES["yolox"][0]
    if edit is not None:
        file = edited(shared, tmp_path / "edited.onnx", edit)
    if options.get("classes") == "two":
        (tmp_path / "two.txt").write_text("person\ncar\n")
        options = {**options, "classes": str(tmp_path / "two.txt")}
    what = {"file": file, "decoder": "yolox", "classes": "coco", "keep": ["person"]}
    with pytest.raises(TaskSRError, match=message) as caught:
        import_detector(Import(**{**what, "out": tmp_path / "out", **options}))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.onnx", b"hello", "expected an ONNX file, got none or a cut one"),
        ("empty.onnx", b"", "expected an ONNX file, got none or a cut one"),
        ("model.pt", b"", "expected an .onnx file, or OpenVINO's .xml, got another"),
        ("alone.xml", b"<net/>", r"alone\.bin: missing"),
    ],
)
def test_what_is_no_detector_is_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskSRError, match=message) as caught:
        import_detector(
            Import(file=tmp_path / name, decoder="yolox", classes="coco", out=tmp_path / "out")
        )
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_one_line(shared: Path, tmp_path: Path) -> None:
    data = (shared / "weights" / FILES["yolox"][0]).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(TaskSRError, match="expected an ONNX file, got none or a cut one"):
        import_detector(
            Import(
                file=tmp_path / "cut.onnx", decoder="yolox", classes="coco", out=tmp_path / "out"
            )
        )
