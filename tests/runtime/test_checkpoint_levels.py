"""Weights of a quantized graph that are loaded into the float one, whose keys are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import mase
from mase.runtime.data import make_data
from mase.runtime.trainer import TrainConfig, fit, load_checkpoint
from tests.runtime.nets import toy

QUANTIZE = 'quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}'


@pytest.mark.parametrize(("trained", "loaded"), [(True, False), (True, True), (False, False), (False, True)])
def test_a_quantized_checkpoint_in_a_float_model_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trained: bool, loaded: bool
) -> None:
    data = make_data("toy-tiny")
    graphs = {False: mase.trace(toy(), args=(data.example_batch()[0],))}
    graphs[True] = graphs[False].copy()
    mase.Pipeline(QUANTIZE).run(graphs[True])
    fit(mase.lower(graphs[trained]), data, TrainConfig(max_epochs=1, report_to="none"), tmp_path)
    caplog.clear()
    load_checkpoint(mase.lower(graphs[loaded]), tmp_path / "training_ckpts/best.ckpt")
    warned = "best.ckpt holds the weights of a quantized graph, and this one is float" in caplog.text
    assert warned == (trained and not loaded)
