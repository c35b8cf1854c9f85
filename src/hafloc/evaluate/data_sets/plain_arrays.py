"""Arrays and lists from .npy, .npz and pickle files of others, without running their code."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError, reason_of

Array = NDArray[Any]

# What a pickle of arrays and plain containers calls for; containers and numbers need no name.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how protocols 0 to 2 spell bytes
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickle(path: Path) -> Any:
    """A pickle of plain containers, numbers, texts and arrays; anything else is refused.

    Raises EvaluationError naming the file.
    """
    return _unpickle(_bytes(path), path)


def read_npy(path: Path) -> Array:
    """The array of an .npy; one of objects only where they are plain. Raises EvaluationError."""
    return _array(_bytes(path), path)


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays of an .npz by name, as `read_npy` reads each. Raises EvaluationError."""
    try:
        with zipfile.ZipFile(io.BytesIO(_bytes(path))) as archive:
            return {
                name.removesuffix(".npy"): _array(archive.read(name), path)
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _array(data: bytes, path: Path) -> Array:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        if not dtype.hasobject:
            stream.seek(0)
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, TypeError, MemoryError) as error:
        raise _damaged(path, error) from error
    plain = np.asarray(_unpickle(stream.read(), path))
    if plain.shape != shape:
        raise EvaluationError(f"{path} is damaged: its array has not the shape that it states")
    return plain


def _unpickle(data: bytes, path: Path) -> Any:
    try:
        return _Restricted(io.BytesIO(data)).load()
    except pickle.UnpicklingError as error:
        raise EvaluationError(
            f"{path} is refused: {error}, where only plain containers and arrays are read; "
            "get the list as .npz or .mat"
        ) from error
    # Damaged pickles make the machine raise nearly anything.
    except Exception as error:
        raise _damaged(path, error) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvaluationError(
            f"cannot read {path}: {error.strerror}; check the path and the data set's layout"
        ) from error


def _damaged(path: Path, error: Exception) -> EvaluationError:
    detail = reason_of(error)
    return EvaluationError(f"cannot read {path}: {detail}; it is damaged, copy it again")
