"""How much faster a ResNet-18-like network runs in onnxruntime when it is exported as QDQ.

    python benchmarks/export.py

prints the operators that onnxruntime's profile shows, and the time of a batch in float and in 8-bit integers.
"""

import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

import mase

FORMATS = (
    'quantize{default={data_in="ufixed<8,4>",weight="fixed<8,7>"},'
    'rules=[{op="nn.relu",skip=true},{op="nn.max_pool2d",skip=true},{scope="stem",data_in="fixed<8,5>"}]}'
)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.short = (
            nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(torch.relu(self.second(torch.relu(self.first(x)))) + torch.relu(self.short(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 64, 7, 2, 3), nn.MaxPool2d(3, 2, 1)
        widths = (64, 64, 128, 128, 256, 256, 512, 512)
        blocks = [Block(a, b, 1 + (a < b)) for a, b in zip((64, *widths), widths, strict=False)]
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.pool(torch.relu(self.stem(x)))).amax((2, 3)))


def session(path: Path, *, profile: bool = False) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    options.enable_profiling, options.profile_file_prefix = profile, str(path)
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def seconds(path: Path, x: np.ndarray, repeats: int = 5) -> float:
    run = session(path)
    run.run(None, {"x": x})
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run.run(None, {"x": x})
        times.append(time.perf_counter() - start)
    return min(times)


def operators(path: Path, x: np.ndarray) -> Counter[str]:
    run = session(path, profile=True)
    run.run(None, {"x": x})
    events = json.loads(Path(run.end_profiling()).read_text())
    return Counter(e["args"]["op_name"] for e in events if e.get("cat") == "Node" and "kernel" in e["name"])


def main() -> None:
    torch.manual_seed(0)
    graph = mase.trace(Net().eval(), (torch.randn(2, 3, 224, 224),))
    with tempfile.TemporaryDirectory() as folder:
        passes = f'export{{format="float"}},{FORMATS},export{{format="qdq"}}'
        mase.Pipeline(passes).run(graph, output_dir=Path(folder))
        x = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
        paths = {kind: Path(folder) / f"graph.{kind}.onnx" for kind in ("float", "qdq")}
        found = {kind: seconds(path, x) for kind, path in paths.items()}
        used = operators(paths["qdq"], x)
    print(", ".join(f"{n} x {op}" for op, n in used.most_common()))
    float_ms, qdq_ms = (1e3 * found[kind] for kind in ("float", "qdq"))
    print(f"float {float_ms:.1f} ms, QDQ {qdq_ms:.1f} ms: {float_ms / qdq_ms:.2f}x")
    print(f"convolutions in int8: {used['QLinearConv']}, in float: {used['Conv'] + used['FusedConv']}")


if __name__ == "__main__":
    main()
