"""hls4ml projects: exact where they are written, refused with the reason where hls4ml is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError
from mase.runtime.hls.forms import check_forms
from mase.runtime.hls.precision import precision_of

FORMATS = 'quantize{default={data_in="fixed<8,4>",weight="fixed<6,4>"}}'


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.side = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.depthwise, self.pool = nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), nn.MaxPool2d(2)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.depthwise(x + torch.relu(self.side(x))))
        return self.head(torch.flatten(self.pool(x), 1))


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))


def quantized(net: nn.Module, x: Tensor, formats: str = FORMATS) -> Graph:
    graph = mase.trace(net.eval(), (x,))
    mase.Pipeline(formats).run(graph)
    return graph


def verified(graph: Graph, folder: Path, hls: str, samples: int) -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    passes = f"export{{format='hls',hls={{{hls}}}}},verify-export{{samples={samples},engines=['hls4ml']}}"
    mase.Pipeline(passes).run(graph, output_dir=folder)
    (check,) = json.loads((folder / "verify-export.json").read_text())["graph.hls"]
    assert (check["wrong"], check["compared"] >= 2500) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["Vitis", "Vivado", "Quartus"])
def test_mlp_is_exact(tmp_path: Path, backend: str) -> None:
    graph = quantized(mlp(), torch.randn(2, 16))
    verified(graph, tmp_path, f"backend='{backend}',clock=10.0", 500)


@pytest.mark.slow
def test_convolutions_are_exact(tmp_path: Path) -> None:
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    verified(graph, tmp_path, "io_type='io_parallel'", 300)


@pytest.mark.slow
def test_a_global_pool_is_exact(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )
    verified(quantized(net, torch.randn(2, 2, 6, 6)), tmp_path, "", 300)


REFUSED: dict[str, tuple[nn.Module, tuple[int, ...], str]] = {
    "rows only": (nn.Linear(4, 4), (2, 3, 4), FORMATS),
    "table of its own": (nn.Sequential(nn.Linear(4, 4), nn.Tanh()), (2, 4), FORMATS),
    "averages": (nn.AvgPool2d(2), (2, 3, 4, 4), FORMATS),
    "batch norm by itself": (nn.BatchNorm1d(4), (2, 4), FORMATS),
    "does not have": (nn.Linear(4, 4), (2, 4), FORMATS.replace("}}", '},rounding="half_up"}')),
    "no powers of two": (
        nn.Linear(4, 4),
        (2, 4),
        'quantize{default={data_in="int<8>",weight="int<8>"},scales="dynamic"}',
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_hls4ml_gets_wrong_is_refused(reason: str) -> None:
    net, shape, formats = REFUSED[reason]
    with pytest.raises(MaseError, match=reason):
        check_forms(quantized(net, torch.randn(shape), formats))


def test_precision_is_computed_from_the_weights() -> None:
    net = nn.Linear(4, 1)
    nn.init.constant_(net.weight, 1.0)
    nn.init.zeros_(net.bias)
    graph = quantized(net, torch.randn(2, 4), 'quantize{default={data_in="fixed<8,4>",weight="fixed<4,2>"}}')
    assert (
        precision_of(graph) == "fixed<13,7>"
    )  # 4 * 1.0 * 8 = 32 needs 7 bits with the sign; 4 + 2 after the point


def test_options_of_other_formats_are_refused() -> None:
    with pytest.raises(MaseError, match='hls is for format="hls"'):
        mase.Pipeline("export{format='qdq',hls={clock=3.0}}").run(quantized(mlp(), torch.randn(2, 16)))
