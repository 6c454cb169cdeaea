"""Run torch_tensorrt's lowering and partitioning on super-resolution + detector, without TensorRT.

torch_tensorrt cannot be imported without libnvinfer and a GPU. Its lowering, its converters'
conditions and its partitioner are plain Python, though: here names alone stand in for TensorRT's
classes and for the GPU, and its compiled libraries are left out. What is asked is which operators
there are converters for; nothing is converted, and nothing here can run.

Prints a JSON line for each network: operators, those with a converter, and the blocks.
"""

from __future__ import annotations

import importlib.machinery
import json
import logging
import os
import re
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

import torch


class _Name(type):
    """A class whose attributes are such classes again."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(cls, name, _named(name))
        return cls.__dict__[name]


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "tensorrt_rtx":
            raise AttributeError(name)
        setattr(self, name, _named(name))
        return self.__dict__[name]


def _named(name: str) -> Any:
    return _Name(name, (), {"__init__": lambda self, *_, **__: None, "__getattr__": _attribute})


def _attribute(_: object, name: str) -> Any:
    return None if name.startswith("__") else _named(name)


def stand_in() -> None:
    """Let torch_tensorrt be imported without TensorRT, its own libraries and a GPU."""
    tensorrt = _Module("tensorrt")
    tensorrt.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
    tensorrt.__dict__.update(
        __version__="11.0.0",
        __path__=[],
        __loader__=None,
        __file__="tensorrt",  # inspect asks for one
        __package__="tensorrt",
        _package_name="tensorrt",
        tensorrt=tensorrt,
    )
    sys.modules["tensorrt"] = sys.modules["tensorrt.tensorrt"] = tensorrt
    is_file = os.path.isfile
    os.path.isfile = lambda path: "libtorchtrt" not in str(path) and is_file(path)
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    torch.cuda.current_device = lambda: 0
    torch.cuda.mem_get_info = lambda *_: (2**30, 2**30)
    if not hasattr(torch._C, "_CudaDeviceProperties"):
        torch._C._CudaDeviceProperties = object


def report(sr_name: str, form: str) -> dict[str, Any]:
    """What torch_tensorrt would do with a network in fp16, asked as `tensorrt_library` asks."""
    import torch_tensorrt

    from tasksr_ros.engines.tensorrt_library import compile_options
    from tasksr_ros.networks import build_sr
    from tasksr_ros.networks.detectors.fcos import Detector
    from tasksr_ros.networks.super_resolution.lr_space import to_lr_space
    from tasksr_ros.networks.tdsr import TDSR

    sr = build_sr(sr_name, 4)
    if form == "lr_space":
        sr = to_lr_space(sr, (96, 320))
    networks = TDSR(sr, Detector()).eval().requires_grad_(False).half()
    example = torch.zeros(1, 3, 96, 320).half()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "dry-run.txt"
        blocks = torch_tensorrt.dynamo.compile(
            torch.export.export(networks, (example,)),
            arg_inputs=[example],
            device=torch.device("cuda:0"),
            timing_cache_path=str(Path(folder) / "timing.bin"),
            dryrun=str(said),
            **compile_options(example.dtype),
        )
        counts = re.search(r"consists of (\d+) Total .* of which (\d+) operators", said.read_text())
    assert counts is not None
    total, supported = map(int, counts.groups())
    names = [name for name, _ in blocks.named_children()]
    return {"sr": sr_name, "form": form, "total": total, "supported": supported, "blocks": names}


def main() -> None:
    """Report on the networks that the command line names."""
    warnings.simplefilter("ignore")
    stand_in()
    import torch_tensorrt  # noqa: F401

    logging.disable(logging.WARNING)
    for sr_name in sys.argv[1:]:
        for form in ("reference", "lr_space"):
            print(json.dumps(report(sr_name, form)), flush=True)


if __name__ == "__main__":
    main()
