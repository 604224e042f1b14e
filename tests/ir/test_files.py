"""Graphs in files: weights reload to the same bits, damage is noticed, nothing is half-written."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch

from mase.ir import Graph, MaseError, parse_type
from mase.ir.files import read_document, save, write_atomically
from mase.ir.ops import core, nn
from mase.ir.state import file_sha256


def linear() -> Graph:
    """One linear layer with known weights."""
    g = Graph("lin")
    g.state["l.weight"] = torch.arange(12.0).reshape(3, 4)
    g.state["l.bias"] = torch.ones(3, dtype=torch.float32)
    g.state.declare("l.steps", parse_type("i64[]"), "buffer")  # type: ignore[arg-type]
    g.state["l.steps"] = torch.tensor(7)
    x = g.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
    g.outputs = [g.add(nn.Linear(), x, params={"weight": "l.weight", "bias": "l.bias"}, name="l", scope="l")]
    return g


def read(path: Path) -> Graph:
    """The graph of a file."""
    graph = read_document(path).graph
    assert graph is not None
    return graph


def test_weights_reload_to_the_same_bits(tmp_path: Path) -> None:
    g = linear()
    save(g, tmp_path / "out" / "graph.toml")
    again = read(tmp_path / "out" / "graph.toml")
    assert again == g
    for key in g.state:
        assert torch.equal(again.state[key], g.state[key])
    assert again.state.entry("l.steps").kind == "buffer"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["graph.safetensors", "graph.toml"]


def test_a_graph_may_be_written_over_the_file_it_came_from(tmp_path: Path) -> None:
    save(linear(), tmp_path / "graph.toml")
    g = read(tmp_path / "graph.toml")
    g.state["l.bias"] = torch.zeros(3)
    save(g, tmp_path / "graph.toml")
    again = read(tmp_path / "graph.toml")
    assert torch.equal(again.state["l.bias"], torch.zeros(3))
    assert torch.equal(again.state["l.weight"], torch.arange(12.0).reshape(3, 4))


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    save(linear(), tmp_path / "graph.toml")
    (tmp_path / "graph.safetensors").unlink()
    g = read(tmp_path / "graph.toml")  # text alone reads and verifies
    with pytest.raises(MaseError, match=r"graph\.safetensors is missing"):
        g.state["l.weight"]


def test_a_changed_weights_file_is_refused(tmp_path: Path) -> None:
    save(linear(), tmp_path / "graph.toml")
    file = tmp_path / "graph.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(MaseError, match="does not match the sha256"):
        read(tmp_path / "graph.toml").state["l.bias"]


def test_weights_are_checked_and_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(linear(), tmp_path / "graph.toml")
    hashed: list[Path] = []
    monkeypatch.setattr("mase.ir.state.file_sha256", lambda path: hashed.append(path) or file_sha256(path))
    read(tmp_path / "graph.toml").state.load()
    assert hashed == [tmp_path / "graph.safetensors"]


def test_a_graph_that_reads_its_weights_can_be_copied_and_pickled(tmp_path: Path) -> None:
    save(linear(), tmp_path / "graph.toml")
    g = read(tmp_path / "graph.toml")
    assert g.state["l.bias"].sum() == 3  # the file is open now
    for again in (copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        assert again == g
        assert torch.equal(again.state["l.weight"], g.state["l.weight"])


def test_a_missing_graph_file_lists_its_neighbours(tmp_path: Path) -> None:
    save(linear(), tmp_path / "graph.toml")
    with pytest.raises(MaseError, match=r"holds graph\.toml"):
        read_document(tmp_path / "grpah.toml")
    with pytest.raises(MaseError, match="is a folder"):
        read_document(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        write_atomically(target, fail)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_graph_without_weights_is_written_without_them(tmp_path: Path) -> None:
    g = Graph()
    g.state.declare("w", parse_type("f32[2,2]"))  # type: ignore[arg-type]
    save(g, tmp_path / "g.toml")
    assert [p.name for p in tmp_path.iterdir()] == ["g.toml"]
    with pytest.raises(MaseError, match="not loaded"):
        read(tmp_path / "g.toml").state["w"]
    g.state["v"] = torch.zeros(1)
    with pytest.raises(MaseError, match="1 weights have no value"):
        save(g, tmp_path / "g.toml")
