"""A project's C++, compiled with g++ and run: the very code that a vendor's compiler turns into a circuit."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import MaseError

__all__ = ["NAME", "RECORD", "build", "predict"]

NAME = "mase"
"""What projects and their top functions are called."""

RECORD = "mase.json"
"""What mase knows of a project, in its folder."""

_SCRIPT = "build_lib.sh"


def build(path: Path) -> Path:
    """The library of a project, built anew if any of its sources is newer.

    Args:
        path: the project's folder.

    Raises:
        MaseError: if there is no g++, or the C++ does not compile.
    """
    if shutil.which("g++") is None:
        raise MaseError.of("the emulation is compiled with g++, which is not installed")
    script = path / _SCRIPT
    stamp = re.search(r"^LIB_STAMP=(\w+)$", script.read_text(), re.MULTILINE)
    library = (path / "firmware" / f"{NAME}-{stamp[1] if stamp else ''}.so").absolute()
    if not library.exists() or library.stat().st_mtime < _newest(path):
        done = subprocess.run(["bash", _SCRIPT], cwd=path, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line]
            raise MaseError.of(f"{path} does not compile: {lines[0] if lines else done.stderr[-200:]}")
    return library


def _newest(path: Path) -> float:
    sources = (p for p in path.rglob("*") if p.is_file() and p.suffix not in (".so", ".o", ".json"))
    return max(p.stat().st_mtime for p in sources)


def predict(path: Path, x: NDArray[Any]) -> NDArray[np.float32]:
    """What a project computes.

    Args:
        path: the project's folder.
        x: a batch of inputs as the model takes them.

    Returns:
        a batch of outputs as the model gives them.

    Raises:
        MaseError: if the project does not compile.
    """
    record = json.loads((path / RECORD).read_text())
    samples = np.ascontiguousarray(x.transpose([0, *(a + 1 for a in record["input_axes"])]), np.float64)
    top = getattr(ctypes.CDLL(str(build(path))), f"{NAME}_double")
    top.restype, top.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p]
    found = np.zeros((len(x), record["outputs"]), np.float64)
    for sample, result in zip(samples, found, strict=True):
        top(sample.ctypes.data, result.ctypes.data)
    shape = record["output_shape"]
    return found[:, np.array(record["output_places"], int)].reshape(len(x), *shape).astype(np.float32)
