"""What the TensorRT engine asks of torch_tensorrt, TensorRT and the GPU: the only place that does.

Everything else of the engine (`tensorrt`, `engine_files`, `manifest`, `batches`) is plain Python.
Written against torch-tensorrt 2.13 (torch 2.13, TensorRT 11.0).
"""

from __future__ import annotations

import importlib
import io
import re
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.batches import Runner
from tasksr_ros.engines.cuda import CudaRunner, Detect, new_stream, select_device
from tasksr_ros.engines.manifest import Machine
from tasksr_ros.errors import EngineError

Networks = nn.Module
"""(N, 3, H, W) in [0, 1] -> boxes (N, A, 4) in SR px, scores and class ids (N, A)."""

_DRIVER_VERSION_FILES = (Path("/sys/module/nvidia/version"), Path("/proc/driver/nvidia/version"))


class Library(Protocol):
    """What the engine needs.

    Attributes:
        device: that the engine runs on.
    """

    device: torch.device

    def machine(self) -> Machine:
        """The GPU and the versions that an engine depends on."""
        ...

    def driver(self) -> str:
        """Version of the GPU's driver."""
        ...

    def build(self, networks: Networks, example: Tensor, timing_cache: Path) -> Any:
        """Compile the networks for the example's shape and type, all of them or nothing.

        Args:
            networks: on the CPU, in the example's type.
            example: (N, 3, H, W) on the CPU.
            timing_cache: file with what was measured while building other engines.

        Raises:
            RuntimeError: if that fails.
        """
        ...

    def save(self, program: Any, example: Tensor, path: Path) -> None:
        """Write what `build` made."""
        ...

    def load(self, data: bytes) -> Networks:
        """The compiled networks of a file's content, on the GPU.

        Raises:
            RuntimeError: if it is no such file.
        """
        ...

    def runner(
        self, detect: Detect, batch: int, region_size: tuple[int, int], *, graph: bool
    ) -> Runner:
        """What runs batches of one size; see `cuda.CudaRunner`."""
        ...


def import_torch_tensorrt() -> Any:
    """The package torch_tensorrt.

    Raises:
        ModuleNotFoundError: if it is not installed.
        EngineError: if what it needs is not.
    """
    said = io.StringIO()
    try:
        with redirect_stdout(said):  # it prints what it misses
            return importlib.import_module("torch_tensorrt")
    except ModuleNotFoundError as error:
        if error.name == "torch_tensorrt":
            raise
        reason = str(error)
    except Exception as error:  # it raises bare ones, also for a library that is not there
        reason = " ".join(str(error).split())
    raise EngineError(
        f"engine tensorrt needs torch_tensorrt to be importable, which fails here: {reason[:300]}"
    )


class TorchTensorRt:
    """See `Library`.

    Raises:
        EngineError: without a GPU, or without the libraries.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._torch_tensorrt = import_torch_tensorrt()
        self.device = select_device(config.device)
        if self.device.type != "cuda":
            raise EngineError(
                f"engine tensorrt needs an NVIDIA GPU, got engine.device {config.device} "
                f"({self.device})"
            )
        if self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self._stream = new_stream(self.device)

    def machine(self) -> Machine:
        """See `Library`."""
        import tensorrt

        major, minor = torch.cuda.get_device_capability(self.device)
        return Machine(
            gpu=torch.cuda.get_device_name(self.device),
            compute_capability=f"{major}.{minor}",
            torch=str(torch.__version__),
            torch_tensorrt=str(self._torch_tensorrt.__version__),
            tensorrt=str(tensorrt.__version__),
        )

    def driver(self) -> str:
        """See `Library`."""
        for file in _DRIVER_VERSION_FILES:
            if file.is_file():
                found = re.search(r"\d+\.\d+(\.\d+)?", file.read_text(errors="replace"))
                if found:
                    return found.group()
        return "unknown"

    def build(self, networks: Networks, example: Tensor, timing_cache: Path) -> Any:
        """See `Library`."""
        with torch.cuda.device(self.device), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its internals
            on_gpu = example.to(self.device)
            exported = torch.export.export(networks.to(self.device), (on_gpu,))
            program = self._torch_tensorrt.dynamo.compile(
                exported,
                arg_inputs=[on_gpu],
                device=self.device,
                timing_cache_path=str(timing_cache),
                **compile_options(example.dtype),
            )
        _check_one_block(program, example.dtype)
        return program

    def save(self, program: Any, example: Tensor, path: Path) -> None:
        """See `Library`."""
        with torch.cuda.device(self.device):
            self._torch_tensorrt.save(program, str(path), arg_inputs=[example.to(self.device)])

    def load(self, data: bytes) -> Networks:
        """See `Library`."""
        with torch.cuda.device(self.device):
            module: nn.Module = torch.export.load(io.BytesIO(data)).module()
        return module

    def runner(
        self, detect: Detect, batch: int, region_size: tuple[int, int], *, graph: bool
    ) -> Runner:
        """See `Library`."""
        return CudaRunner(detect, batch, region_size, self._stream, graph=graph)


def compile_options(dtype: torch.dtype) -> dict[str, Any]:
    """How torch_tensorrt compiles: everything in one engine, whose weights never change."""
    return {
        "require_full_compilation": True,
        "min_block_size": 1,
        "immutable_weights": True,
        "disable_tf32": dtype == torch.float32,  # fp32 is exact
    }


def _check_one_block(program: nn.Module, dtype: torch.dtype) -> None:
    """Raise RuntimeError unless one TensorRT engine does it all, from ``dtype`` to float32.

    The precision is the networks' own (strongly typed), so an engine that takes float32 where
    float16 was meant would be a slow one that nobody notices.
    """
    import tensorrt

    blocks = dict(program.named_children())
    if len(blocks) != 1 or not all("_run_on_acc" in name for name in blocks):
        raise RuntimeError(f"expected one TensorRT block, got {', '.join(blocks) or 'none'}")
    (block,) = blocks.values()
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(block.serialized_engine)
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    types = {name: engine.get_tensor_dtype(name) for name in names}
    for name in names:
        is_input = engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT
        expected = _tensorrt_type(dtype if is_input else torch.float32)
        if types[name] != expected:
            raise RuntimeError(f"expected the engine's {name} in {expected}, got {types[name]}")


def _tensorrt_type(dtype: torch.dtype) -> Any:
    import tensorrt

    return {
        torch.float32: tensorrt.DataType.FLOAT,
        torch.float16: tensorrt.DataType.HALF,
        torch.bfloat16: tensorrt.DataType.BF16,
    }[dtype]
