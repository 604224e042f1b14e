"""A project's C++, compiled with g++ and run: the very code that a vendor's compiler turns into a circuit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

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
        MaseError: if the project does not compile, or its C++ ends by itself.
    """
    record = json.loads((path / RECORD).read_text())
    axes = [0, *(a + 1 for a in record["input_axes"])]
    samples = np.ascontiguousarray(_encoded(record, x).transpose(axes), np.float64)
    found = _run(build(path), samples, record["outputs"])
    places = np.array(record["output_places"], int)
    return _decoded(record, found[:, places].reshape(len(x), *record["output_shape"]))


_PROCESS = """
import ctypes, sys
import numpy as np
library, function, inputs, outputs = sys.argv[1:]
top = getattr(ctypes.CDLL(library), function)
top.restype, top.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p]
samples, found = np.load(inputs), np.load(outputs)
for sample, result in zip(samples, found):
    top(sample.ctypes.data, result.ctypes.data)
np.save(outputs, found)
"""


def _run(library: Path, samples: NDArray[np.float64], outputs: int) -> NDArray[np.float64]:
    """Call the top function for each sample, in a process of its own: C++ ends where an assertion fails."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, results = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(inputs, samples)
        np.save(results, np.zeros((len(samples), outputs)))
        command = [sys.executable, "-c", _PROCESS, str(library), f"{NAME}_double", str(inputs), str(results)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ends with {done.returncode}"]
            raise MaseError.of(f"the C++ of {library.parent.parent} fails: {said[-1]}")
        return cast("NDArray[np.float64]", np.load(results))


def _encoded(record: Mapping[str, Any], x: NDArray[Any]) -> NDArray[Any]:
    """What the host gives: the model's input, or codes of it."""
    if record["input_format"] is None:
        return x
    import torch

    from mase.ir import parse_format
    from mase.ir.ops.exact import Quantize
    from mase.runtime.exact import execute

    scale = record["input_scale"]
    roles = {} if scale is None else {"scale": torch.tensor(scale)}
    op = Quantize(format=parse_format(record["input_format"]))
    codes: Any = execute(op, torch.tensor(x), **roles)
    return codes.numpy()


def _decoded(record: Mapping[str, Any], found: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the host makes of the outputs: numbers as they are, or codes times their scales."""
    scales = record["output_scales"]
    if scales is not None and "axis" in scales:
        shape = [1] * found.ndim
        shape[scales["axis"]] = -1
        found = found * np.array(scales["scale"]).reshape(shape)
    elif scales is not None:
        found = found * scales["scale"]
    return found.astype(np.float32)
