"""Video and blind networks on two processes, as under torchrun: both hold the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

KEEP_OF_BOTH = """
import os, sys
import torch
from tasksr_training import cli, loop

save = loop._Run._save

def save_of_both(run):
    torch.save(run.module.state_dict(), run.out / f"rank{os.environ['RANK']}.pt")
    save(run)

loop._Run._save = save_of_both
sys.exit(cli.main(sys.argv[1:]))
"""

VIDEO = {"network": "rbpn-small-4", "options": {"base_filter": 4, "feat": 4}}
BLIND = {
    "network": "kbpn-small",
    "options": {"md_ch": 4, "kout": 7, "ks": 3, "reduction_ch": 4},
    "blur": {"kernel_size": 5, "length": [1, 4], "radius": [0.5, 2], "turn_weight": 0},
}


@pytest.mark.parametrize("stage", [VIDEO, BLIND], ids=["video", "blind"])
def test_both_processes_end_with_the_same_weights(
    data: Path, tmp_path: Path, two_processes: Callable[..., int], stage: dict[str, Any]
) -> None:
    config = {
        "patches": {"size": 32, "min_height": 12, "max_height": 30},
        "sources": [{"path": "train.json"}],
        "clips": {"margin": 4},
        "stage": {**stage, "scale_factor": 2, "validation": [], "validation_side": 32},
        "loop": {
            "max_steps": 5,  # a blind network goes through its three steps
            "batch_size": 1,
            "accelerator": "cpu",
            "devices": 2,
            "threads": 1,
            "warmup_steps": 1,
        },
    }
    (tmp_path / "both.py").write_text(KEEP_OF_BOTH)
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    options = ["super-resolution", f"--config={tmp_path / 'c.yaml'}", f"--data={data}"]
    run = tmp_path / "run"
    assert two_processes(str(tmp_path / "both.py"), *options, f"--out={run}", limit=240) == 0
    first, second = (torch.load(run / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)
