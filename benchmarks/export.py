"""How much faster a ResNet-18 runs in onnxruntime when it is exported as QDQ, and what bounds that.

    python benchmarks/export.py [--pixels 64,224] [--batches 1,8] [--threads 1,2] [--nodes]

Float and 8-bit runs alternate, and the least time of each counts: the processor's with one thread, the
clock's with more. `convolutions` compares the times of the convolutions alone, from onnxruntime's profile: no
form of the graph around them can be faster. Without VNNI, a CPU with AVX2 multiplies 32 pairs of bytes (two
instructions) in the time of 16 pairs of floats, so that 2 is the most where memory is no limit. `--nodes`
prints the time of every node of the 8-bit model.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

import mase

SIGNED, UNSIGNED = "fixed<8,5>", "ufixed<8,5>"
FLOAT_OPS = {"Conv", "FusedConv", "Add", "Gemm", "MatMul", "MaxPool"}
EXACT = {"session.x64quantprecision": "1"}  # sums of products may not saturate


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        short = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = nn.Sequential(*short) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool, self.avgpool, self.fc = (
            nn.MaxPool2d(3, 2, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Linear(512, 1000),
        )
        widths = (64, 64, 64, 128, 128, 256, 256, 512, 512)
        self.layers = nn.Sequential(*(Block(a, b, 1 + (a < b)) for a, b in pairwise(widths)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


def exported(pixels: int, folder: Path) -> None:
    """Write both models; relus and pools read what quantizers of the layers after them make of it."""
    torch.manual_seed(0)
    net = ResNet18().eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d) and module.num_features > 64:
            nn.init.constant_(module.weight, 0.5)
    rules = [
        '{op="nn.relu",skip=true}',
        '{op="nn.max_pool2d",skip=true}',
        f'{{scope="conv1",data_in="{SIGNED}"}}',
        f'{{op="tensor.add",data_in="{SIGNED}",other="{UNSIGNED}"}}',
        *(f'{{op="tensor.add",scope="layers.{i}",other="{SIGNED}"}}' for i in (2, 4, 6)),
    ]
    formats = f'default={{data_in="{UNSIGNED}",weight="fixed<8,7>"}},rules=[{",".join(rules)}]'
    graph = mase.trace(net, (torch.randn(2, 3, pixels, pixels),))
    passes = f'fold-batchnorm,export{{format="float"}},quantize{{{formats}}},export{{unsigned=true}}'
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        mase.Pipeline(passes).run(graph, output_dir=folder)


def session(path: Path, threads: int, *, profile: bool = False) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads
    options.enable_profiling, options.profile_file_prefix = profile, str(path)
    for key, value in EXACT.items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def seconds(paths: dict[str, Path], x: np.ndarray, threads: int, repeats: int) -> dict[str, float]:
    sessions = {kind: session(path, threads) for kind, path in paths.items()}
    found, clock = dict.fromkeys(paths, float("inf")), time.thread_time if threads == 1 else time.perf_counter
    for _ in range(repeats):
        for kind, run in sessions.items():
            start = clock()
            run.run(None, {"x": x})
            found[kind] = min(found[kind], clock() - start)
    return found


def nodes(path: Path, x: np.ndarray, threads: int, repeats: int) -> dict[tuple[str, str], float]:
    """The least milliseconds of each node, by operator and name."""
    run = session(path, threads, profile=True)
    for _ in range(repeats):
        run.run(None, {"x": x})
    found: dict[tuple[str, str], float] = {}
    for event in json.loads(Path(run.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = event["args"]["op_name"], event["name"].removesuffix("_kernel_time")
            found[key] = min(found.get(key, float("inf")), event["dur"] / 1000)
    return found


def compare(paths: dict[str, Path], x: np.ndarray, threads: int, show_nodes: bool) -> None:
    repeats = 30 if len(x) == 1 else 8
    wall = {kind: 1000 * s for kind, s in seconds(paths, x, threads, repeats).items()}
    by_node = {kind: nodes(path, x, threads, repeats) for kind, path in paths.items()}
    sums = {kind: sum(found.values()) for kind, found in by_node.items()}
    convs = {k: sum(t for (op, _), t in found.items() if "Conv" in op) for k, found in by_node.items()}
    print(
        f"{x.shape[-1]:4d} pixels, batch {len(x)}, {threads} threads: "
        f"float {wall['float']:.1f} ms, QDQ {wall['qdq']:.1f} ms: {wall['float'] / wall['qdq']:.2f}x; "
        f"all nodes {sums['float']:.1f} and {sums['qdq']:.1f} ms: {sums['float'] / sums['qdq']:.2f}x; "
        f"convolutions {convs['float']:.1f} and {convs['qdq']:.1f} ms: {convs['float'] / convs['qdq']:.2f}x"
    )
    if show_nodes:
        for (op, name), ms in by_node["qdq"].items():
            print(f"    {ms:8.3f} ms  {op:18} {name}")


def features() -> str:
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set[str]()
    return ", ".join(f for f in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8") if f in flags)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("pixels", "64,224"), ("batches", "1,8"), ("threads", "1,2")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--nodes", action="store_true")
    given = parser.parse_args()
    pixels, batches, threads = (
        [int(n) for n in getattr(given, k).split(",")] for k in ("pixels", "batches", "threads")
    )
    print(f"this CPU has {features() or 'none of the features that matter'}")
    for size in pixels:
        with tempfile.TemporaryDirectory() as folder:
            exported(size, Path(folder))
            paths = {kind: Path(folder) / f"graph.{kind}.onnx" for kind in ("float", "qdq")}
            x = np.random.default_rng(0).standard_normal((max(batches), 3, size, size), np.float32)
            used = Counter(op for op, _ in nodes(paths["qdq"], x[:1], 1, 1))
            print(", ".join(f"{n} x {op}" for op, n in used.most_common()))
            floats = ", ".join(sorted(FLOAT_OPS & used.keys())) or "no operator"
            print(f"convolutions in int8: {used['QLinearConv']}; in float: {floats}")
            for batch in batches:
                for count in threads:
                    compare(paths, x[:batch], count, given.nodes)


if __name__ == "__main__":
    main()
