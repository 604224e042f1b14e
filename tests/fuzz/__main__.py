"""Run random models.

    python -m tests.fuzz fixed 17          one of them, made as small as it still fails
    python -m tests.fuzz fixed 0-1000      many; prints those that fail, and counts

``--log FILE`` appends a line of JSON for each.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import torch

from tests.fuzz.cases import Case
from tests.fuzz.formats import KINDS
from tests.fuzz.judge import Judge, judge
from tests.fuzz.models import DEEPEST


def smallest(case: Case) -> Judge:
    """The case with the fewest steps that still fails."""
    for depth in range(1, len(case.model().steps)):
        found = judge(replace(case, depth=depth))
        if found.bad:
            return found
    return judge(case)


def show(found: Judge) -> None:
    """Print a case and what was found."""
    print(found.case)
    for finding in found.findings:
        print("  " + "BAD " * finding.bad + str(finding))
    print(f"  {len(found.passed)} agree, {len(found.bad)} are bad", flush=True)


def main() -> None:
    """Run cases and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=[*KINDS])
    parser.add_argument("seeds", help="a number, or the first and the one after the last: 0-1000")
    parser.add_argument("--depth", type=int, default=DEEPEST, help="the most steps of a model")
    parser.add_argument("--log", type=Path, help="a file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    first, many, end = args.seeds.partition("-")
    cases = [Case(args.kind, s, args.depth) for s in range(int(first), int(end) if many else int(first) + 1)]
    failed = 0
    for case in cases:
        start = time.process_time()
        found = judge(case)
        failed += bool(found.bad)
        if args.log:
            row = {"kind": case.kind, "seed": case.seed, "seconds": time.process_time() - start}
            row |= {"passed": len(found.passed), "findings": [asdict(f) for f in found.findings]}
            with args.log.open("a") as file:
                file.write(json.dumps(row) + "\n")
        if found.bad or not many:
            show(smallest(case) if found.bad else found)
    print(f"{failed} of {len(cases)} fail")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
