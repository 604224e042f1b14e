"""How long the command lines take to say something, as whole processes.

    python benchmarks/startup.py [--runs 5] [--json out.json]

Prints the smallest wall time of each command, beside a Python that does nothing and one that loads torch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import mase": ["-c", "import mase"],
    "mase-opt --help": ["-m", "mase.cli.opt", "--help"],
    "mase-opt --list-passes": ["-m", "mase.cli.opt", "--list-passes"],
    "mase-opt --describe train": ["-m", "mase.cli.opt", "--describe", "train"],
    "ch --help": ["-m", "mase.cli.ch", "--help"],
    "import torch": ["-c", "import torch"],
}


def seconds(command: list[str], runs: int) -> float:
    """The smallest wall time of a command in seconds."""
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    measured = {name: seconds(command, args.runs) for name, command in COMMANDS.items()}
    for name, value in measured.items():
        goal = "  (goal: below 0.5)" if "--" in name else ""
        print(f"{name:28} {value:6.3f} s  {value / measured['python -c pass']:5.1f} x{goal}")
    if args.json:
        args.json.write_text(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
