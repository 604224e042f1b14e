"""Checkpoints that are folders, as `ch` trains, keeps and loads them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cli.conftest import MaseOpt
from tests.runtime.standing_in import standing_in
from tests.runtime.test_checkpoint_folders import InParts


@pytest.fixture(autouse=True)
def in_parts() -> Generator[None]:
    with standing_in("single_device", InParts):
        yield


def test_ch_trains_and_loads_folders(ch: MaseOpt) -> None:
    words = ("toy", "toy-tiny", "--batch-size", "64", "--strategy", "single_device")
    trained = ch("train", *words, "--max-epochs", "2", "--report-to", "none", "--project", "A")
    assert trained.status == 0, trained.err
    best = Path("mase_output/A/software/training_ckpts/best.ckpt")
    assert best.is_dir()
    for more in ((), ("--load-type", "pl")):
        tested = ch("test", *words, "--load", str(best), *more, "--project", "B")
        assert tested.status == 0, tested.err
    found = [Path(f"mase_output/{at}/results.csv").read_text() for at in ("A/software", "B/software/test")]
    lines = [
        {line.partition("trained,")[2] for line in text.splitlines() if "test/accuracy" in line}
        for text in found
    ]
    assert all(lines)
    refused = ch("test", *words, "--load", "configs", "--load-type", "pl", "--project", "B")
    assert "is a folder, which --load-type pl does not take" in refused.err
