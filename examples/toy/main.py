"""mase from Python: capture a model, train it, quantize it, train it again, and keep the result.

    python examples/toy/main.py

What `ch train` and `ch transform` do from the shell; here every step is a line of one's own program.
"""

from pathlib import Path

import torch
from torch import nn

import mase
from mase.passes import Context
from mase.runtime.data import make_data

OUTPUT = Path("out/toy")


class Toy(nn.Module):
    """Is the sum of four numbers positive?"""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 100)
        self.fc2 = nn.Linear(100, 100)
        self.fc3 = nn.Linear(100, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc1(x.flatten(1)).relu()
        return self.fc3(self.fc2(x).relu())


def run(graph: mase.Graph, passes: str, folder: str) -> dict[str, dict[str, float]]:
    """Run passes on a graph and give what they measured."""
    context = Context(graph, data=make_data("toy-tiny", batch_size=16), output_dir=OUTPUT / folder)
    mase.Pipeline(passes).run_in(context)
    mase.save(graph, OUTPUT / folder / "graph.toml")
    return context.metrics


def main() -> None:
    """Train in float, then with 4-bit weights."""
    torch.manual_seed(0)
    graph = mase.trace(Toy(), args=(torch.randn(2, 1, 2, 2),))
    train = "train{max_epochs=10 learning_rate=1e-2 scheduler=cosine},eval"

    trained = run(graph, train, "float")
    print(f"float:      {trained['test/accuracy']['trained']:.4f}")

    # The fractions of the formats are chosen from data; training then makes up for the rounding.
    quantized = run(graph, "quantize{default={data_in=fixed<8>, weight=fixed<4>}}," + train, "quantized")
    print(f"quantized:  {quantized['test/accuracy']['quantized']:.4f}, 4-bit weights, not trained")
    print(f"trained:    {quantized['test/accuracy']['trained']:.4f}, 4-bit weights")

    # The graph is a module: it computes with the numbers that were trained.
    module = mase.lower(mase.load(OUTPUT / "quantized" / "graph.toml")).eval()
    print(f"one sample: {module(torch.ones(1, 1, 2, 2)).tolist()}")
    print(f"results in {OUTPUT.resolve()}")


if __name__ == "__main__":
    main()
