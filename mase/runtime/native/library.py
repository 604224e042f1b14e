"""The native library of this process, if there is one, and why not if there is none."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from mase.runtime.native.build import FLAGS, BuildError, build

__all__ = ["function", "library", "status"]

_LOG = logging.getLogger("mase.native")
_SWITCH = "MASE_NATIVE"


@cache
def _loaded() -> ctypes.CDLL | str:
    """The library or the reason why there is none; found once, and logged."""
    if os.environ.get(_SWITCH, "1") == "0":
        return f"switched off by {_SWITCH}=0"
    reasons: list[str] = []
    for flags in FLAGS:
        try:
            return ctypes.CDLL(str(build(flags)))
        except (BuildError, OSError) as error:
            reasons.append(str(error))
    _LOG.warning("quantization runs without native kernels (%s=0 hides this): %s", _SWITCH, reasons[0])
    return reasons[0]


def library() -> ctypes.CDLL | None:
    """The loaded library, built first if need be; None where there is none."""
    found = _loaded()
    return None if isinstance(found, str) else found


def status() -> str:
    """``native``, or why the pure-torch reference computes instead.

    Example:
        >>> status()  # doctest: +SKIP
        'native'
    """
    found = _loaded()
    return found if isinstance(found, str) else "native"


def function(name: str, *arguments: type, returns: type | None = None) -> Callable[..., Any]:
    """A function of the library, which must be there.

    Args:
        name: what it is called in C.
        arguments: the types of its arguments.
        returns: the type of its result.
    """
    found = library()
    assert found is not None, status()
    result = found[name]  # indexing makes a new object each time, so that types are not shared
    result.argtypes = arguments
    result.restype = returns
    return result
