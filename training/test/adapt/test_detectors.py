"""Gradients through detectors of all three kinds, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
import torch
from dark_boxes import SIZE, DarkBoxes, write_bundle
from onnx import TensorProto, helper
from tasksr_training.adapt.check import check_detector
from tasksr_training.adapt.frozen import Frozen, frozen_detector, people_of
from tasksr_training.adapt.onnx_module import check_operators, read_module
from tasksr_training.errors import TrainingError

from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_ros.bundle.onnx_file import free_size, read_onnx

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("dark") / "detector"))


@pytest.fixture
def onnx2torch() -> None:
    """Skips where the extra ``onnx`` is not installed."""
    pytest.importorskip("onnxruntime")
    if not any(Path(p, "onnx2torch").is_dir() for p in sys.path):
        pytest.skip("onnx2torch is not installed: pip install 'tasksr-training[onnx]'")


def crops() -> torch.Tensor:
    """Two crops, of which one has a dark box."""
    images = torch.full((2, 3, SIZE[1], SIZE[0]), 0.55)
    images[0, :, 16:56, 40:56] = 0.1
    return images


def built(bundle: Bundle, network: str = "", layers: tuple[str, ...] = ()) -> Frozen:
    return frozen_detector(bundle, people_of(bundle), SIZE, layers, network)


def test_an_onnx_file_gives_what_its_runtime_gives(onnx2torch: None, bundle: Bundle) -> None:
    frozen = built(bundle)
    (line,) = check_detector(frozen, bundle, crops())
    assert "gives what ONNX Runtime gives, within" in line
    seen = frozen(crops())
    # 20 x 12 cells; the one at column 5, row 3 lies in the dark box.
    assert seen.scores.shape == (2, 240) and seen.bins is None and not seen.ranked
    assert float(seen.scores[0, 3 * 20 + 5]) == pytest.approx(0.9974, abs=1e-3)
    assert float(seen.scores[1].max()) < 0.01
    centre = (seen.boxes[0, 65, :2] + seen.boxes[0, 65, 2:]) / 2
    assert centre.tolist() == pytest.approx([44.0, 28.0], abs=1e-3)
    assert "torchvision" not in sys.modules or hasattr(sys.modules["torchvision"], "__version__")


def test_a_torch_module_is_compared_with_the_file(bundle: Bundle) -> None:
    frozen = built(bundle, "dark_boxes:DarkBoxes")
    (line,) = check_detector(frozen, bundle, crops())
    assert "within" in line
    other = built(bundle, "dark_boxes:other_weights")
    with pytest.raises(TrainingError, match=r"output output differs by 0\.\d+"):
        check_detector(other, bundle, crops())


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("no_such_module:f", "ModuleNotFoundError"),
        ("dark_boxes:nothing", "AttributeError"),
        ("dark_boxes:picture", "TypeError"),
        ("pathlib:Path", "expected a torch module of pathlib:Path, got PosixPath"),
    ],
)
def test_what_gives_no_torch_module_is_refused(bundle: Bundle, network: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        built(bundle, network)


def test_features_of_named_modules(bundle: Bundle) -> None:
    frozen = built(bundle, "dark_boxes:DarkBoxes", ("cells",))
    assert [f.shape for f in frozen(crops()).features] == [(1, 6, 12, 20)] * 2
    with pytest.raises(TrainingError, match=r"modules such as cells, got backbone"):
        built(bundle, "dark_boxes:DarkBoxes", ("backbone",))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ({"extra": "Floor"}, r"gradient .* got one that is zero .*: Floor \(1\)"),
        ({"slope": 0.0}, "scores that depend on the image"),
        ({"extra": "LpNormalization"}, r"converts, got LpNormalization \(the_LpNormalization\)"),
        ({"extra": "Log"}, "not finite"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    onnx2torch: None, tmp_path: Path, kind: dict[str, object], told: str
) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "d", **kind))
    images = crops()
    images[0, :, :8, :8] = 0.0  # whose logarithm is not finite
    with pytest.raises(TrainingError, match=told):
        check_detector(built(bundle), bundle, images)


@pytest.mark.parametrize("name", ["picodet_s_416_coco", "yolox_nano_coco"])
def test_public_detectors_made_to_take_any_size_have_gradients(
    onnx2torch: None, shared: Path, tmp_path: Path, name: str
) -> None:
    import onnxruntime

    file = shared / "weights" / f"{name}.onnx"
    if not file.is_file():
        pytest.skip(f"no {file.name} in ../shared/weights")
    model = read_onnx(file)
    free_size(model)
    onnx.save(model, tmp_path / file.name)
    module = read_module(tmp_path / file.name, (96, 64))
    image = torch.rand(1, 3, 64, 96, requires_grad=True)
    found = module(image)
    found = found if isinstance(found, list | tuple) else [found]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(tmp_path / file.name), options)
    wanted = session.run(None, {session.get_inputs()[0].name: image.detach().numpy()})
    assert len(found) == len(wanted)
    for got, value in zip(found, wanted, strict=True):
        assert torch.allclose(got, torch.from_numpy(value), atol=2e-3, rtol=1e-4)
    (gradient,) = torch.autograd.grad(sum(v.sum() for v in found), image)
    assert float(gradient.abs().max()) > 0


def test_what_the_converter_fails_at_is_named(onnx2torch: None, tmp_path: Path) -> None:
    sides = [1, 3, "height", "width"]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMin", ["image"], ["least"], keepdims=0),
            helper.make_node("Clip", ["image", "least"], ["output"], name="clip_7"),
        ],
        "clips",
        [value("image", TensorProto.FLOAT, sides)],
        [value("output", TensorProto.FLOAT, sides)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "clips.onnx")
    with pytest.raises(TrainingError, match=r"onnx2torch cannot convert Clip \(clip_7\)"):
        read_module(tmp_path / "clips.onnx", SIZE)


def test_a_graph_that_suppresses_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("NonMaxSuppression", ["boxes", "scores"], ["kept"], name="nms")]
    with pytest.raises(TrainingError, match=r"got NonMaxSuppression \(nms\); export"):
        check_operators(
            helper.make_model(helper.make_graph(nodes, "n", [], [])), tmp_path, lambda *_: None
        )


def test_ours_have_gradients_and_distributions() -> None:
    bundle = load_bundle(MODELS / "picodet-s-x1")
    frozen = built(bundle, layers=("backbone",))
    images = torch.rand(2, 3, 64, 96)
    assert check_detector(frozen, bundle, images) == []
    seen = frozen(images)
    assert seen.bins is not None and seen.bins.shape[2:] == (4, 8) and seen.levels is not None
    assert seen.boxes.shape == (2, seen.scores.shape[1], 4) and len(seen.features) >= 2
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not frozen.train().training
    with pytest.raises(TrainingError, match="this one is ours"):
        built(bundle, "dark_boxes:DarkBoxes")


def test_a_detector_of_other_classes_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "cars", name="car"))
    with pytest.raises(TrainingError, match=r"class person or pedestrian .* it has car"):
        people_of(bundle)
    assert people_of(bundle, ["Car"]) == [0]
    assert DarkBoxes()(torch.zeros(1, 3, 16, 8)).shape == (1, 2, 6)
