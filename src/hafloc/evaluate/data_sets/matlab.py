"""MATLAB files of either kind (up to v7, and v7.3, which is HDF5) as plain values by name."""

import struct
import zlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError, MissingExtraError, reason_of

# A variable is an array, a list of texts, or a list of structures by field name.
Value = NDArray[Any] | list[Any] | dict[str, Any]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_mat(path: Path) -> dict[str, Value]:
    """All variables of a .mat file: numbers as arrays in MATLAB's own orientation, cells of text
    as lists of str, structures as dicts, arrays of structures as lists of dicts.

    Raises EvaluationError naming the file; MissingExtraError without scipy or h5py.
    """
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        raise EvaluationError(
            f"cannot read {path}: {error.strerror}; check the path and the data set's layout"
        ) from error
    if _HDF5 in head:
        return _read_hdf5(path)
    if not head.startswith(b"MATLAB"):
        raise EvaluationError(f"cannot read {path}: it is not a MATLAB file; get the original")
    return _read_v7(path)


def _needs(module: str, path: Path) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"reading {path} needs {module}; pip install hafloc[evaluate]"
        ) from error


def _read_v7(path: Path) -> dict[str, Value]:
    reader = _needs("scipy.io", path)
    matlab = import_module("scipy.io.matlab")
    damage = (ValueError, TypeError, KeyError, EOFError, OSError, IndexError, OverflowError)
    try:
        content = reader.loadmat(path, squeeze_me=False, struct_as_record=True)
    except (*damage, MemoryError, zlib.error, struct.error, matlab.MatReadError) as error:
        raise _damaged(path, error) from error
    return {name: _plain(value) for name, value in content.items() if not name.startswith("__")}


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names:
        structures = [
            {name: _plain(item[name]) for name in value.dtype.names} for item in value.ravel("F")
        ]
        return structures[0] if len(structures) == 1 else structures
    if value.dtype == object:
        return [_plain(item) for item in value.ravel("F")]
    if value.dtype.kind == "U":
        return str(value.item()) if value.size == 1 else "".join(value.ravel())
    return value


def _read_hdf5(path: Path) -> dict[str, Value]:
    h5py = _needs("h5py", path)
    try:
        with h5py.File(path, "r") as file:
            return {
                name: _from_hdf5(file[name], file, h5py)
                for name in file
                if not name.startswith("#")
            }
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _from_hdf5(node: Any, file: Any, h5py: Any) -> Any:
    if isinstance(node, h5py.Group):
        return {name: _from_hdf5(node[name], file, h5py) for name in node}
    kind = node.attrs.get("MATLAB_class", b"")
    if h5py.check_ref_dtype(node.dtype):
        # MATLAB's columns run along HDF5's last axis: the transpose, column by column.
        return [_from_hdf5(file[reference], file, h5py) for reference in node[()].ravel()]
    if kind == b"char":
        return "".join(chr(code) for code in node[()].ravel())
    if node.attrs.get("MATLAB_empty", 0):
        return np.empty((0, 0))
    return np.asarray(node[()]).T


def _damaged(path: Path, error: Exception) -> EvaluationError:
    detail = reason_of(error)
    return EvaluationError(f"cannot read {path}: {detail}; it is damaged, copy it again")


def numbers(variables: Mapping[str, Any], name: str, path: Path) -> NDArray[np.float64]:
    """A numeric variable. Raises EvaluationError where it is missing or something else."""
    value = variables.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise EvaluationError(f"{path} holds no numbers {name}; it is another kind of list")
    return value.astype(np.float64)


def texts(variables: Mapping[str, Any], name: str, path: Path) -> list[str]:
    """A variable of texts. Raises EvaluationError where it is missing or something else."""
    value = variables.get(name)
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise EvaluationError(f"{path} holds no names {name}; it is another kind of list")
    return value
