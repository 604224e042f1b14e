"""A project's C++, compiled with g++ and run: the very code that a vendor's compiler turns into a circuit."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import MaseError

__all__ = ["NAME", "RECORD", "Emulated", "build", "emulate", "shown"]

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


@dataclass(frozen=True)
class Emulated:
    """What a project computes for a batch.

    Args:
        output: as the model gives it.
        values: of the nodes that were asked for and that a layer shows, by name.
    """

    output: NDArray[np.float32]
    values: dict[str, NDArray[np.float32]]


def shown(path: Path) -> list[str]:
    """The names of the nodes whose values a project can show."""
    return list(json.loads((path / RECORD).read_text())["values"])


def emulate(path: Path, x: NDArray[Any], names: Sequence[str] = ()) -> Emulated:
    """What a project computes.

    Args:
        path: the project's folder.
        x: a batch of inputs as the model takes them.
        names: of nodes whose values are wanted too.

    Raises:
        MaseError: if the project does not compile, or its C++ ends by itself.
    """
    record = json.loads((path / RECORD).read_text())
    axes = [0, *(a + 1 for a in record["input_axes"])]
    samples = np.ascontiguousarray(_encoded(record, x).transpose(axes), np.float64)
    found = _run(build(path), samples, record, keep=bool(names))
    places = np.array(record["output_places"], int)
    output = _decoded(record, found["outputs"][:, places].reshape(len(x), *record["output_shape"]))
    places = {n: record["values"][n] for n in names if n in record["values"]}
    there = {n: of for n, of in places.items() if f"layer {of['layer']}" in found}
    return Emulated(output, {n: _value(found, of) for n, of in there.items()})


def _value(found: Mapping[str, NDArray[np.float64]], of: Mapping[str, Any]) -> NDArray[np.float32]:
    """A node's value from what its layer gives, whose axes may lie in another order."""
    layer = found[f"layer {of['layer']}"]
    return (
        layer.reshape(len(layer), *of["shape"]).transpose(0, *(a + 1 for a in of["axes"])).astype(np.float32)
    )


def _run(
    library: Path, samples: NDArray[np.float64], record: Mapping[str, Any], *, keep: bool
) -> dict[str, NDArray[np.float64]]:
    """What the top function gives for each sample, and its layers if they are to be kept."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / name) for name in ("samples.npy", "results.npz", "task.json")}
        np.save(files["samples.npy"], samples)
        layers = {of["layer"]: math.prod(of["shape"]) for of in record["values"].values()}
        task = {
            "library": str(library),
            "function": f"{NAME}_double",
            "samples": files["samples.npy"],
            "outputs": record["outputs"],
            "layers": layers if keep else {},
            "results": files["results.npz"],
        }
        Path(files["task.json"]).write_text(json.dumps(task))
        worker = str(Path(__file__).with_name("worker.py"))
        command = [sys.executable, "-P", worker, files["task.json"]]  # without its folder's modules
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ends with {done.returncode}"]
            raise MaseError.of(f"the C++ of {library.parent.parent} fails: {said[-1]}")
        with np.load(files["results.npz"]) as results:
            return dict(results)


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
