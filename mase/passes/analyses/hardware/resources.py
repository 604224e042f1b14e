"""What a node takes of a Xilinx 7-series device."""

from __future__ import annotations

from mase.ir.annotations import register_annotation

__all__ = ["Resources"]


@register_annotation("resources")
class Resources:
    """Estimated resources of a node, or of a whole graph in which every node has its own.

    Args:
        lut: look-up tables of six inputs.
        dsp: DSP48E1 slices.
        bram: block memories of 18 Kibit.
        cycles: clock cycles between two samples; of a graph, those of its slowest node.

    Example:
        >>> Resources(lut=10, cycles=4) + Resources(lut=5, dsp=1, cycles=2)
        Resources(lut=15, dsp=1, bram=0, cycles=4)
    """

    lut: int = 0
    dsp: int = 0
    bram: int = 0
    cycles: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            lut=self.lut + other.lut,
            dsp=self.dsp + other.dsp,
            bram=self.bram + other.bram,
            cycles=max(self.cycles, other.cycles),
        )
