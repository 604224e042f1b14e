"""A third party's package joins by its entry point alone, in a process of its own."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GRAPH = """\
mase = 1

[graph]
name = "plugged"
level = "float"
outputs = ["y"]

[nodes]
x = { op = "core.input", type = "f32[N,4]" }
y = { op = "nn.relu", in = ["x"], type = "f32[N,4]", scope = "act" }
"""


def install(site: Path, name: str = "mase-noise", module: str | None = None) -> None:
    """Write what pip would write of the plugin: its metadata and entry points."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{name.replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {module or value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def mase_opt(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run mase-opt where the plugin is installed."""
    path = os.pathsep.join(map(str, (ROOT, HERE, site)))
    return subprocess.run(
        [sys.executable, "-m", "mase.cli.opt", *words],
        cwd=site,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder with the plugin installed and a graph."""
    install(tmp_path)
    (tmp_path / "graph.toml").write_text(GRAPH)
    return tmp_path


def test_listed_and_described(site: Path) -> None:
    listed = mase_opt(site, "--list-passes")
    assert "add-noise       Put noise after every activation." in listed.stdout
    described = mase_opt(site, "--describe", "add-noise")
    assert "scale: float = 0.1\n      its largest magnitude." in described.stdout


def test_runs_and_round_trips(site: Path) -> None:
    first = mase_opt(site, "graph.toml", "-p", "add-noise{scale=0.5},count-noise", "-o", "out")
    assert first.returncode == 0, first.stderr
    assert "noise ops" in first.stderr
    text = (site / "out/graph.toml").read_text()
    assert 'op = "noise.uniform", in = ["y"], scale = 0.5' in text
    assert "noise.loudness" in text
    second = mase_opt(site, "out/graph.toml", "-p", "count-noise", "-o", "-")
    assert second.returncode == 0, second.stderr
    assert second.stdout == text.replace('"count-noise"]', '"count-noise", "count-noise"]')


def test_unknown_without_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "graph.toml").write_text(GRAPH)
    run = mase_opt(tmp_path, "graph.toml", "-p", "add-noise")
    assert run.returncode == 2
    assert "unknown pass 'add-noise'" in run.stderr


def test_a_broken_plugin_breaks_nothing_else(site: Path) -> None:
    install(site, "mase-broken", "no_such_module")
    run = mase_opt(site, "graph.toml", "-p", "count-noise")
    assert run.returncode == 0, run.stderr
    listed = mase_opt(site, "--list-passes")
    assert (
        "plugin 'noise' does not load: ModuleNotFoundError: No module named 'no_such_module'" in listed.stdout
    )
    unknown = mase_opt(site, "graph.toml", "-p", "count-nose")
    assert "did you mean 'count-noise'?" in unknown.stderr
    assert "plugin 'noise' does not load" in unknown.stderr
