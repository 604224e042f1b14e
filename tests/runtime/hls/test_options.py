"""Bad hardware is refused, with what was probably meant."""

from __future__ import annotations

import pytest

from mase.ir import MaseError
from mase.ir.diagnostics import UsageError
from mase.ir.graph import Header
from mase.passes import Pipeline
from mase.runtime.hls.options import HlsOptions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backend": "vitis"}, "did you mean 'Vitis'"),
        ({"io_type": "io_streams"}, "did you mean 'io_stream'"),
        ({"strategy": "latancy"}, "did you mean 'latency'"),
        ({"clock": 0.0}, "a period in nanoseconds"),
        ({"reuse_factor": 0}, "1 shares no multiplier"),
        ({"part": "zynq"}, "written like 'xcvu13p"),
        ({"part": "Arria10"}, "backend='Quartus' knows such parts"),
        ({"backend": "Quartus", "part": "xc7z020clg400-1"}, "backend='Vitis' knows such parts"),
    ],
)
def test_bad_values_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        HlsOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["xc7z020clg400-1", "xcu250", "xck26-sfvc784-2LV-c", "xcvu9p-flga2104-2L-e"])
def test_parts_are_known(part: str) -> None:
    assert HlsOptions(part=part).part == part


@pytest.mark.parametrize("text", ["{backend='Vits'}", "{parts='xcu250'}", "{clock='fast'}"])
def test_pipelines_refuse_them_before_anything_runs(text: str) -> None:
    with pytest.raises(MaseError):
        Pipeline(f"export{{format='hls',hls={text}}}").check(Header(), "quantized", has_data=False)
