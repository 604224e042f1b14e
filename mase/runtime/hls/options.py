"""What hardware a project is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["HlsOptions"]


@dataclass(frozen=True)
class HlsOptions:
    """The target of an hls4ml project.

    Args:
        backend: whose compiler the project is for; none of them is needed to write and to emulate it.
        part: the FPGA; by default the backend's own.
        clock: the period in nanoseconds.
        io_type: ``io_parallel`` takes a sample at once, ``io_stream`` element by element.
        reuse_factor: how many multiplications share a multiplier.
    """

    backend: Literal["Vitis", "Vivado", "Quartus"] = "Vitis"
    part: str | None = None
    clock: float = 5.0
    io_type: Literal["io_parallel", "io_stream"] = "io_parallel"
    reuse_factor: int = 1
