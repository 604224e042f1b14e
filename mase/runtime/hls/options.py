"""What hardware a project is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from mase.ir.diagnostics import UsageError, did_you_mean

__all__ = ["HlsOptions"]

Backend = Literal["Vitis", "Vivado", "Quartus"]
IoType = Literal["io_parallel", "io_stream"]
Strategy = Literal["latency", "resource"]

_PARTS = {
    "Vitis": (r"x[acq][0-9a-z]+(-[0-9a-z]+)*", "xcvu13p-flga2577-2-e"),
    "Vivado": (r"x[acq][0-9a-z]+(-[0-9a-z]+)*", "xcvu13p-flga2577-2-e"),
    "Quartus": (
        r"arria ?[0-9]+.*|stratix ?[0-9]+.*|agilex.*|cyclone.*|max ?10.*|10[a-z]{2}.*|[15][a-z]{2,}.*",
        "Arria10",
    ),
}


@dataclass(frozen=True)
class HlsOptions:
    """The target of an hls4ml project.

    Args:
        backend: whose compiler the project is for; none of them is needed to write and to emulate it.
        part: the FPGA, such as ``xc7z020clg400-1`` or ``Arria10``; by default the backend's own.
        clock: the period in nanoseconds.
        io_type: ``io_parallel`` takes a sample at once, ``io_stream`` pixel by pixel.
        strategy: ``latency`` multiplies by constants, in look-up tables too; ``resource`` reads weights from
            memories, for layers that are too large for that.
        reuse_factor: how many multiplications share a multiplier.
        emulate: whether the C++ is compiled with g++ at once; `verify-export` does it too.

    Raises:
        UsageError: if a value is none that the backend knows.
    """

    backend: Backend = "Vitis"
    part: str | None = None
    clock: float = 5.0
    io_type: IoType = "io_parallel"
    strategy: Strategy = "latency"
    reuse_factor: int = 1
    emulate: bool = True

    def __post_init__(self) -> None:
        for name, known in (("backend", Backend), ("io_type", IoType), ("strategy", Strategy)):
            value = getattr(self, name)
            if value not in get_args(known):
                raise UsageError.of(f"unknown {name} {value!r}", help=did_you_mean(value, get_args(known)))
        if self.clock <= 0:
            raise UsageError.of(f"clock is {self.clock}", help="it is a period in nanoseconds")
        if self.reuse_factor < 1:
            raise UsageError.of(f"reuse_factor is {self.reuse_factor}", help="1 shares no multiplier")
        pattern, example = _PARTS[self.backend]
        if self.part is not None and not re.fullmatch(pattern, self.part, re.IGNORECASE):
            others = [b for b, (p, _) in _PARTS.items() if re.fullmatch(p, self.part, re.IGNORECASE)]
            also = f"; backend={others[0]!r} knows such parts" if others else ""
            raise UsageError.of(
                f"{self.part!r} is no part that {self.backend} builds for",
                help=f"it is written like {example!r}{also}",
            )
