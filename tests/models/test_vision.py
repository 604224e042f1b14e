"""Image models of torchvision and timm keep everything when captured, where the library loads."""

import pytest

from benchmarks.architectures import vision
from benchmarks.architectures.base import Architecture
from benchmarks.architectures.libraries import library
from benchmarks.architectures.verdict import judge

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("architecture", [*vision.torchvision(), *vision.timm()], ids=lambda a: a.name)
def test_is_captured_whole(architecture: Architecture) -> None:
    _, problem = library(architecture.name.partition(":")[0])
    if problem:
        pytest.skip(problem)
    verdict = judge(architecture)
    assert not verdict.error
    assert not any(verdict.held.values()), verdict.held
    assert not verdict.opaque
