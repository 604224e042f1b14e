"""What a pipeline made of each node, before and after side by side."""

import torch
from torch import nn

import mase
from mase.passes.instruments.changes import Changes, count_changes


def test_changed_added_removed_and_new_weights() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    graph = mase.trace(net.eval(), args=(torch.randn(2, 1, 4, 4),))
    changes = Changes()
    mase.Pipeline("fold-batchnorm,quantize{default={} rules=[{op=linear weight=fixed<8,4>}]}").run(
        graph, instruments=[changes]
    )
    rows = {row["node"]: row for row in changes.rows(graph)}
    assert [row["change"] for row in rows.values()] == [
        "",
        "new weights",
        "removed",
        "changed",
        "",
        "changed",
    ]
    assert rows["_4"]["after"] == "mase.linear_integer"
    assert rows["_4"]["formats"].startswith("weight: fixed<8,4>")
    assert rows["_1"]["after"] == ""
    assert {row["before"]: row["nodes"] for row in count_changes(rows.values())}["nn.linear"] == "1"


def test_trained_weights_show() -> None:
    graph = mase.trace(nn.Linear(4, 2), args=(torch.randn(2, 4),))
    before = graph.copy()
    graph.state["weight"] = graph.state["weight"] + 1
    from mase.passes.instruments.changes import changes

    assert [row["change"] for row in changes(before, graph)] == ["", "new weights"]
