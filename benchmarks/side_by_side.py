"""Timing things side by side: all in one process, in turns, medians; a table, JSON and a plot.

Not a benchmark itself.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Step = Callable[[], object]
_WARM_UP = 2  # rounds; memory that a virtual machine touches for the first time is slow to come


@dataclass
class Timing:
    """The seconds of each round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


@dataclass
class Comparison:
    """Steps whose times are told as multiples of one of them.

    Args:
        title: what is compared.
        unit: the name of the step that is 1, or of several whose times sum to 1.
        targets: what a step should stay below.
    """

    title: str
    unit: str
    times: float = 1.0
    targets: Mapping[str, float] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def run(self, steps: Mapping[str, Step], rounds: int) -> None:
        """Run every step in turn, in so many rounds after some to warm up."""
        ready = {name: step for name, step in steps.items() if self._works(name, step)}
        self.timings = {name: Timing() for name in ready}
        order = random.Random(0)
        gc.disable()
        for number in range(-_WARM_UP, rounds):
            # In another order each time: what ran before has filled the caches and shaped the heap.
            for name, step in order.sample(list(ready.items()), len(ready)):
                cpu, wall = time.process_time(), time.perf_counter()
                result = step()
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                if number >= 0:
                    self.timings[name].cpu.append(cpu)
                    self.timings[name].wall.append(wall)
                del result
            gc.collect()
        gc.enable()

    def _works(self, name: str, step: Step) -> bool:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is why it is left out
            self.skipped[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return False
        return True

    def ratio(self, name: str, clock: str = "cpu") -> float:
        """The median over rounds of the ratio to the unit, which is measured in the same round."""
        own, unit = (getattr(self.timings[n], clock) for n in (name, self.unit))
        return statistics.median(a / (b * self.times) for a, b in zip(own, unit, strict=True))

    def show(self) -> None:
        """Print the table."""
        print(f"\n{self.title}: {'' if self.times == 1 else f'{self.times:g} x '}{self.unit} = 1.00")
        print(f"  {'':46}{'CPU ms':>9}{'wall ms':>9}{'CPU':>8}{'wall':>8}")
        for name, timing in self.timings.items():
            cpu, wall = (1e3 * statistics.median(t) for t in (timing.cpu, timing.wall))
            line = f"  {name:46}{cpu:9.2f}{wall:9.2f}{self.ratio(name):8.2f}{self.ratio(name, 'wall'):8.2f}"
            print(line + self._verdict(name))
        for name, why in self.skipped.items():
            print(f"  {name:46} skipped: {why[:120]}")

    def _verdict(self, name: str) -> str:
        if name not in self.targets:
            return ""
        return f"  {'ok' if self.ratio(name) <= self.targets[name] else 'ABOVE'} (<= {self.targets[name]:g})"

    def record(self) -> dict[str, Any]:
        """What JSON says of it."""
        rows = {
            name: {
                "cpu_seconds": statistics.median(timing.cpu),
                "wall_seconds": statistics.median(timing.wall),
                "cpu_ratio": self.ratio(name),
                "wall_ratio": self.ratio(name, "wall"),
                "target": self.targets.get(name),
            }
            for name, timing in self.timings.items()
        }
        return {"unit": f"{self.times:g} x {self.unit}", "steps": rows, "skipped": self.skipped}


def report(comparisons: list[Comparison], json_path: Path | None, plot_path: Path | None) -> None:
    """Print the tables, and write JSON and a plot if asked."""
    for comparison in comparisons:
        comparison.show()
    if json_path:
        record = {c.title: c.record() for c in comparisons}
        json_path.write_text(json.dumps(record, indent=2) + "\n")
    if plot_path:
        plot(comparisons, plot_path)


def plot(comparisons: list[Comparison], path: Path) -> None:
    """Bars of the CPU ratios, on a logarithmic scale, a panel each."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    heights = [len(c.timings) + 1.5 for c in comparisons]
    figure, axes = plt.subplots(
        len(comparisons),
        1,
        figsize=(9, 0.28 * sum(heights) + 1),
        gridspec_kw={"height_ratios": heights},
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for comparison, axis in zip(comparisons, axes[:, 0], strict=True):
        names = list(comparison.timings)
        ratios = [comparison.ratio(n) for n in names]
        colors = ["tab:blue" if n.startswith("mase") else "lightgray" for n in names]
        axis.barh(names, ratios, color=colors)
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.axvline(1, color="black", linewidth=0.8)
        for row, (name, ratio) in enumerate(zip(names, ratios, strict=True)):
            axis.text(ratio, row, f" {ratio:.2f}", va="center", fontsize=8)
            if name in comparison.targets:
                axis.plot(comparison.targets[name], row, "|", color="tab:red", markersize=10)
        axis.set_title(comparison.title, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].xaxis.set_major_formatter("{x:g}")
    axes[-1, 0].xaxis.set_minor_formatter("{x:g}" if _spread(comparisons) < 10 else "")
    unit = comparisons[0]
    times = "" if unit.times == 1 else f"{unit.times:g} x "
    axes[-1, 0].set_xlabel(f"CPU time, {times}{unit.unit} = 1; red: the target", fontsize=8)
    figure.savefig(path, dpi=130)


def _spread(comparisons: list[Comparison]) -> float:
    """How many times the largest ratio is the smallest."""
    ratios = [c.ratio(name) for c in comparisons for name in c.timings]
    return max(ratios) / min(ratios)
