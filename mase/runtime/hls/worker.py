"""Runs a compiled project on samples. A program of its own: C++ ends where one of its assertions fails.

It is run by its path and imports nothing of mase, so that it starts fast.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["main"]


class _Traced(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


def main(task: Path) -> None:
    """Do what a task says.

    Args:
        task: a JSON file with the ``library`` and its top ``function``, the files of ``samples`` and of
            ``results``, the number of ``outputs``, and the sizes of the ``layers`` that are kept.
    """
    said = json.loads(task.read_text())
    library = ctypes.CDLL(said["library"])
    top = getattr(library, said["function"])
    top.restype, top.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p]
    samples: NDArray[np.float64] = np.load(said["samples"])
    sizes: dict[str, int] = said["layers"]
    found = np.zeros((len(samples), said["outputs"]))
    kept: dict[str, NDArray[np.float64]] = {}
    if sizes:
        library.allocate_trace_storage.argtypes = [ctypes.c_size_t]
        library.allocate_trace_storage(ctypes.sizeof(ctypes.c_double))
    traced: Any = (_Traced * len(sizes))()
    for i, sample in enumerate(samples):
        top(sample.ctypes.data, found[i].ctypes.data)
        if sizes:
            library.collect_trace_output(traced)
        for each in traced:
            name = (each.name or b"").decode()  # what hls4ml has merged with another layer shows nothing
            if name in sizes:
                array = kept.setdefault(name, np.zeros((len(samples), sizes[name])))
                pointer = ctypes.cast(each.data, ctypes.POINTER(ctypes.c_double))
                array[i] = np.ctypeslib.as_array(pointer, (sizes[name],))
    arrays: dict[str, Any] = {f"layer {name}": array for name, array in kept.items()}
    np.savez(said["results"], outputs=found, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
