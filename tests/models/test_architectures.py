"""Real architectures, from configurations with small random weights, keep everything when captured."""

import pytest

pytest.importorskip("transformers")
from benchmarks.architectures import huggingface
from benchmarks.architectures.base import Architecture
from benchmarks.architectures.verdict import judge

QUICK = ("BertModel", "LlamaForCausalLM", "T5ForConditionalGeneration", "LlamaForCausalLM/step")


def _parameters() -> list[object]:
    slow = pytest.mark.slow
    return [
        pytest.param(a, id=a.name, marks=[] if a.name in QUICK else [slow]) for a in huggingface.everything()
    ]


@pytest.mark.parametrize("architecture", _parameters())
def test_is_captured_whole(architecture: Architecture) -> None:
    verdict = judge(architecture)
    assert not verdict.error
    assert not any(verdict.held.values()), verdict.held
    assert not verdict.opaque
    assert not verdict.notes
