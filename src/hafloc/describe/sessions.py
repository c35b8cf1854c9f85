"""An ONNX graph ready to run on the processor, by OpenVINO or by ONNX Runtime."""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.errors import CheckpointError, HaflocError, MissingExtraError, reason_of

Floats = NDArray[np.float32]
Run = Callable[[Floats], Sequence[Floats]]

# What OpenVINO calls a precision; int8 stands in the graph, and what is left there is float32.
_HINTS = {"float32": "f32", "int8": "f32", "bf16": "bf16", "float16": "f16"}
_TELEMETRY = "openvino_telemetry"
_PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}


class Session:
    """Runs a graph, image by image: `1×3×H×W` float32 to the graph's outputs.

    What it returns is valid until the next image. A forked process opens the graph anew, since
    the runtime's threads stay with the parent.
    """

    def __init__(self, runtime: str, precision: str, content: Callable[[], bytes]) -> None:
        self._name = f"{runtime} {precision}"
        self._open = {"openvino": _openvino, "onnx": _onnxruntime}[runtime]
        self._precision = precision
        self._content = content
        self._process = -1
        self._run: Run | None = None

    def __call__(self, image: Floats) -> Sequence[Floats]:
        """Raises CheckpointError where the runtime fails, MissingExtraError where it is missing."""
        try:
            if self._run is None or self._process != os.getpid():
                if self._run is not None:
                    # Ended here, the parent's would wait for threads that are not here.
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._run))
                self._run = self._open(self._content(), self._precision)
                self._process = os.getpid()
            return self._run(image)
        except HaflocError:
            raise
        # Code of others may raise anything.
        except Exception as error:
            raise CheckpointError(
                f"--runtime {self._name.split()[0]} cannot run this network: "
                f"{reason_of(error)[:200]}; use --runtime torch"
            ) from error


def is_installed(runtime: str) -> bool:
    """Whether the packages of a runtime, and what makes its graph, are there."""
    return all(is_there(package) for package in (_PACKAGES[runtime], "onnx"))


def is_there(package: str) -> bool:
    """Whether a package can be imported, as far as can be told without doing so."""
    return find_spec(package) is not None


def capabilities() -> frozenset[str]:
    """What OpenVINO multiplies in units of this processor, as it says: FP32, BF16, INT8.

    Raises MissingExtraError without OpenVINO.
    """
    found: list[str] = _load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return frozenset(found)


def _load_openvino() -> Any:
    # OpenVINO tells its maker of each import, unless this package is missing: photos are private,
    # and where there is no network it would wait for one.
    known = _TELEMETRY in sys.modules
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        return import_module("openvino")
    except ImportError as error:
        raise MissingExtraError(
            "--runtime openvino needs OpenVINO; pip install hafloc[openvino]"
        ) from error
    finally:
        if not known:
            del sys.modules[_TELEMETRY]


def _openvino(content: bytes, precision: str) -> Run:
    core = _load_openvino().Core()
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    # Bytes lie in memory that the model goes on using.
    model = core.read_model(content)
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    count = len(model.outputs)

    def run(image: Floats) -> Sequence[Floats]:
        request.infer([image], share_inputs=True)
        return [request.get_output_tensor(number).data for number in range(count)]

    return run


def _onnxruntime(content: bytes, precision: str) -> Run:
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError(
            "--runtime onnx needs ONNX Runtime; pip install hafloc[onnx]"
        ) from error
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    # Threads that spin while they wait take the cores from the decoders of the next photos.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3
    session = runtime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    (taken,) = (each.name for each in session.get_inputs())

    def run(image: Floats) -> Sequence[Floats]:
        found: Sequence[Floats] = session.run(None, {taken: image})
        return found

    return run
