"""Models above the 2 GB where protobuf ends: checked by path, loaded by onnxruntime, with equal numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, parse_type
from mase.ir.ops import core, exact
from mase.runtime.verification import ENGINES

pytestmark = pytest.mark.slow

SIDE, LIMIT = 8192, 2**31
NEEDED = 10 * 2**30


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for such a model, which goes afterwards, on a machine with memory for it."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    for what, there in (("memory", free), ("disk", shutil.disk_usage(tmp_path).free)):
        if there < NEEDED:
            pytest.skip(f"needs {NEEDED >> 30} GiB of {what}, and {there >> 30} are free")
    yield tmp_path
    shutil.rmtree(tmp_path)


def computed(path: Path, engine: str, x: Tensor, *names: str) -> dict[str, Tensor]:
    """What an engine computes from a file that ONNX's checker accepts: its output, and values by name."""
    data = path.with_name(path.name + ".data")
    assert path.stat().st_size < 2**20 < LIMIT < data.stat().st_size
    onnx.checker.check_model(str(path), full_check=True)
    found = ENGINES[engine](path).run({"input": x.numpy()}, names)
    return {name: torch.from_numpy(value) for name, value in found.items()}


def test_float(folder: Path) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        net = nn.Sequential(*(nn.Linear(SIDE, SIDE, bias=False) for _ in range(8)), nn.Linear(SIDE, 4))
    net = net.to_empty(device="cpu").requires_grad_(requires_grad=False)
    for weight in net.parameters():
        weight.normal_(0, SIDE**-0.5)
    x = torch.randn(2, SIDE)
    graph = mase.trace(net, (x,))
    expected = net(x)
    mase.Pipeline('export{format="float"}').run(graph, output_dir=folder)
    del net, graph
    (found,) = computed(folder / "graph.float.onnx", "onnxruntime", x).values()
    assert torch.allclose(found, expected, atol=1e-4)


def test_integer(folder: Path) -> None:
    graph, generator = Graph("large", level="integer"), torch.manual_seed(0)
    x = torch.randint(-128, 128, (2, SIDE), generator=generator).to(torch.int8)
    value = graph.add(core.Input(), type=parse_type(f"si<8>[N,{SIDE}]"), name="input")
    expected, to = x.double(), exact.Requantization(width=8, min=-128, max=127, shift=12)
    for i in range(33):
        weight = torch.randint(-128, 128, (SIDE, SIDE), generator=generator, dtype=torch.int8)
        graph.state[f"weight{i}"] = weight
        op = exact.Linear(width=28)
        value = graph.add(op, value, params={"weight": f"weight{i}"}, name=f"y{i}")
        sums = torch.cat([expected @ rows.double().mT for rows in weight.split(1024)], 1)
        if i == 0:
            first = sums
        value = graph.add(exact.Requantize(to=to), value, name=f"z{i}")
        expected = (sums * 2.0**-12).round().clamp(-128, 127)
    graph.outputs = [value]
    mase.Pipeline('export{format="integer"}').run(graph, output_dir=folder)
    del graph, value
    found = computed(folder / "graph.integer.onnx", "onnxruntime, not optimised", x, "y0")
    assert expected.std() > 1
    assert torch.equal(found["z32"].double(), expected)
    assert torch.equal(found["y0"].double(), first)
