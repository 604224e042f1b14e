"""Regenerates the figures behind `cost`'s hardware estimates: synthesises small circuits with Yosys.

    python tools/synthesize.py                          # rewrites mase/passes/analyses/hardware/xilinx.csv
    python tools/synthesize.py --only shift --out /tmp/shift.csv

Each row is one circuit mapped to Xilinx 7-series cells by ``synth_xilinx``: look-up tables, DSP slices. Needs
`yosys` (0.23 or newer) and some minutes; rows do not depend on the machine, only on the version of Yosys.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TABLE = Path(__file__).parents[1] / "mase/passes/analyses/hardware/xilinx.csv"
COLUMNS = ("circuit", "x", "w", "terms", "lut", "dsp")
TERMS = 4
WIDTHS = [
    (2, 2),
    (3, 3),
    (4, 2),
    (4, 4),
    (6, 4),
    (6, 6),
    (8, 2),
    (8, 4),
    (8, 6),
    (8, 8),
    (12, 8),
    (16, 8),
    (12, 12),
]
"""Widths of activation and weight."""
RESULTS = [(8, 4), (12, 6), (14, 8), (16, 4), (20, 8), (24, 8), (24, 12), (32, 16)]
"""Widths of an accumulator and of what it is requantized to."""


def product_sum(x: int, w: int, terms: int, *, constant: bool) -> str:
    """``sum(x_i * w_i)``; constant weights are random numbers of the full width."""
    out = x + w + (terms - 1).bit_length()
    draw = random.Random(f"{x},{w},{terms}")
    low, high = -(1 << (w - 1)), (1 << (w - 1)) - 1
    weights = [
        f"({draw.choice([k for k in range(low, high + 1) if k])})"
        if constant
        else f"$signed(w[{i * w} +: {w}])"
        for i in range(terms)
    ]
    products = " + ".join(f"$signed(x[{i * x} +: {x}]) * {weight}" for i, weight in enumerate(weights))
    return f"""module top(input signed [{terms * x - 1}:0] x, input signed [{terms * w - 1}:0] w,
  output signed [{out - 1}:0] y);
  assign y = {products};
endmodule"""


def shift(accumulator: int, result: int) -> str:
    """Round half to even, shift by what the widths differ less one bit, saturate."""
    return rounding(f"wire signed [{accumulator - 1}:0] p = x;", accumulator, accumulator, result)


def dyadic(accumulator: int, result: int) -> str:
    """The same after a multiplication by a constant of 31 bits."""
    multiplier = random.Random(f"{accumulator},{result}").randrange(1 << 30, 1 << 31)
    wide = accumulator + 31
    product = f"wire signed [{wide - 1}:0] p = x * $signed(32'd{multiplier});"
    return rounding(product, accumulator, wide, result)


def rounding(product: str, accumulator: int, wide: int, result: int) -> str:
    """Requantize ``p`` of ``wide`` bits, which ``product`` declares, to ``result`` bits."""
    n = wide - result - 1
    kept = wide - n + 1
    top, bottom = (1 << (result - 1)) - 1, -(1 << (result - 1))
    return f"""module top(input signed [{accumulator - 1}:0] x, output signed [{result - 1}:0] y);
  {product}
  wire signed [{kept - 1}:0] q = p >>> {n};
  wire tie = p[{n - 1}:0] == {{1'b1, {{{n - 1}{{1'b0}}}}}};
  wire up = p[{n - 1}] & (~tie | q[0]);
  wire signed [{kept - 1}:0] r = q + $signed({{1'b0, up}});
  assign y = r > {top} ? {top} : r < {bottom} ? {bottom} : r[{result - 1}:0];
endmodule"""


def elementwise(x: int, expression: str) -> str:
    """A function of two numbers."""
    return f"""module top(input signed [{x - 1}:0] a, input signed [{x - 1}:0] b, output signed [{x}:0] y);
  assign y = {expression};
endmodule"""


def circuits() -> Iterator[tuple[str, int, int, int, str, bool]]:
    """Name, widths, terms, Verilog, and whether DSP slices may be used."""
    for x, w in WIDTHS:
        yield "variable", x, w, TERMS, product_sum(x, w, TERMS, constant=False), False
        yield "constant", x, w, 4 * TERMS, product_sum(x, w, 4 * TERMS, constant=True), False
        yield "dsp", x, w, TERMS, product_sum(x, w, TERMS, constant=False), True
    for accumulator, result in RESULTS:
        yield "shift", accumulator, result, 1, shift(accumulator, result), False
        yield "dyadic", accumulator, result, 1, dyadic(accumulator, result), False
    for x in (4, 8, 16):
        yield "add", x, x, 1, elementwise(x, "a + b"), False
        yield "max", x, x, 1, elementwise(x, "a > b ? a : b"), False
        yield "relu", x, x, 1, elementwise(x, "a[" + str(x - 1) + "] ? 0 : a"), False


def synthesise(verilog: str, dsp: bool) -> tuple[int, int]:
    """Look-up tables and DSP slices of a circuit."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "top.v").write_text(verilog)
        script = "read_verilog top.v; synth_xilinx -flatten -noiopad -noclkbuf -top top"
        script += "" if dsp else " -nodsp"
        subprocess.run(
            ["yosys", "-q", "-p", f"{script}; tee -q -o stat.json stat -json"], cwd=folder, check=True
        )
        cells = json.loads((Path(folder) / "stat.json").read_text())["design"]["num_cells_by_type"]
    return sum(n for kind, n in cells.items() if kind.startswith("LUT")), cells.get("DSP48E1", 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Synthesise the circuits of the hardware estimates with Yosys."
    )
    parser.add_argument("--only", help="one kind of circuit")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    rows = [c for c in circuits() if options.only in (None, c[0])]
    partial = options.out.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for i, (circuit, x, w, terms, verilog, dsp) in enumerate(rows, 1):
            print(f"\r{i}/{len(rows)} {circuit} {x}x{w}   ", end="", file=sys.stderr, flush=True)
            table.writerow((circuit, x, w, terms, *synthesise(verilog, dsp)))
            file.flush()
    partial.replace(options.out)
    print(f"\rwrote {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
