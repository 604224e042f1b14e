"""What is trained is what is shipped: random models in random formats, in every execution.

A failure prints the model, its formats, and the command that runs it alone and makes it small.
"""

from __future__ import annotations

import pytest

from tests.fuzz.cases import Case
from tests.fuzz.formats import KINDS
from tests.fuzz.judge import judge

QUICK = (1, 2, 3, 4, 8, 10, 11, 12)  # seeds whose models take a fraction of a second
CASES = [
    *(pytest.param(Case(kind, seed, depth=2), id=f"small {kind} {seed}") for kind in KINDS for seed in QUICK),
    *(
        pytest.param(Case(kind, seed), id=f"{kind} {seed}", marks=pytest.mark.slow)
        for kind in KINDS
        for seed in range(100)
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_every_execution_agrees_or_says_why_not(case: Case) -> None:
    found = judge(case)
    assert not found.bad, "\n".join(["", str(case), *map(str, found.bad)])
    assert found.passed
