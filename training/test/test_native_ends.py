from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tasksr_training.errors import TrainingDataError
from tasksr_training.native_ends import load_chosen, origin_of

from tasksr_ros.networks.detectors.picodet import PicoDet


def test_weights_that_were_chosen_before_are_a_start(tmp_path: Path) -> None:
    torch.manual_seed(3)
    detector, file = PicoDet(1), tmp_path / "before.safetensors"
    save_file(detector.state_dict(), file)
    file.with_suffix(".json").write_text(json.dumps({"start": "coco.onnx", "steps": 951}))
    found = load_chosen(file)
    assert all(torch.equal(v, found.state_dict()[k]) for k, v in detector.state_dict().items())
    assert origin_of(file) == {"start": "coco.onnx", "earlier_steps": 951}
    assert origin_of(tmp_path / "coco.onnx") == {"start": "coco.onnx"}
    file.write_bytes(b"no weights")
    with pytest.raises(TrainingDataError, match=r"before\.safetensors: expected a detector's"):
        load_chosen(file)
