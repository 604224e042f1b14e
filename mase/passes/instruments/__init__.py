"""Instruments: watchers of a run. One hook protocol serves timing, printing, dumping and checking."""

from mase.passes.instruments.base import Instrument
from mase.passes.instruments.dumping import DumpStages, Reproducer
from mase.passes.instruments.printing import PrintDiff, PrintIR
from mase.passes.instruments.semantics import CheckNumbers, Comparison
from mase.passes.instruments.timing import Timing

__all__ = [
    "CheckNumbers",
    "Comparison",
    "DumpStages",
    "Instrument",
    "PrintDiff",
    "PrintIR",
    "Reproducer",
    "Timing",
]
