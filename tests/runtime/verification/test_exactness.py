"""What is trained is what is shipped: every model, width and scale, in every form, in every engine."""

from __future__ import annotations

import pytest

from benchmarks.integers.cases import CASES, Case
from benchmarks.integers.verdict import ENGINES_BY_FORM, judge

ANY = "multiplies by it in integers"


def _cases(*fast: tuple[str, int]) -> list[object]:
    return [
        pytest.param(c, id=str(c), marks=[] if (c.model, c.bits) in fast else [pytest.mark.slow])
        for c in CASES
    ]


@pytest.mark.parametrize("case", _cases(("jet-tagging", 8), ("jet-tagging", 2)))
def test_no_output_differs(case: Case) -> None:
    """Of 10,000 outputs on vectors that tell half even from half up, in all engines that are installed."""
    verdict = judge(case)
    assert verdict.half_up > 0.01
    ran = {key: check for key, check in verdict.checks.items() if not check.skipped}
    assert {key: check for key, check in ran.items() if not check.ok} == {}
    assert min(c.compared for c in ran.values()) >= 10_000
    forms = ("", "integer") if case.scales == "any" else ("", "integer", "qdq", "qonnx")
    needed = {(form, name) for form in forms for name in ENGINES_BY_FORM.get(form, ["interpreter"])}
    for key in needed - set(ran):
        assert "not installed" in str(verdict.checks[key].skipped)
    for key in set(verdict.checks) - needed - set(ran):
        assert ANY in str(verdict.checks[key].skipped) or "not installed" in str(verdict.checks[key].skipped)


def _circuits(case: Case) -> bool:
    """All perceptrons, and of convolutional nets, which take minutes, the two kinds of scales at 4 bits."""
    kinds = (("tensor", "powers of two"), ("channel", "any"))
    return case.model == "jet-tagging" or (case.bits == 4 and (case.per, case.scales) in kinds)


@pytest.mark.slow
@pytest.mark.parametrize("case", filter(_circuits, CASES), ids=str)
def test_no_output_of_the_circuit_differs(case: Case) -> None:
    """hls4ml's C++, or the reason why the exporter refuses other scales than shifts."""
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    (check,) = (c for (form, _), c in judge(case, ("hls",)).checks.items() if form == "hls")
    if check.skipped:
        assert not case.shifts
        assert check.skipped.startswith("refused: ")
        return
    assert check.ok, check
    assert check.compared >= 10_000
