"""Bad input of every kind: one screen that names place and remedy, the right status, nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mase
from mase.cli.arguments import parse_arguments
from mase.cli.guard import guard
from mase.ir import MaseError
from tests.cli.conftest import GRAPH, MaseOpt, Result

SCREEN = 24


def assert_told(result: Result, status: int, *fragments: str) -> None:
    """Check the status, the words and the size of a failure."""
    assert result.status == status, result.err
    assert result.out == ""
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) <= SCREEN
    for fragment in fragments:
        assert fragment in result.err


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ([], ["there is no INPUT", "mase-opt --help"]),
        (["graph.toml", "--pases", "dce"], ["unrecognized arguments: --pases", "did you mean '--passes'?"]),
        (["graph.toml", "--seed", "x"], ["argument --seed: invalid int value: 'x'"]),
        (["graph.toml", "-p", "dca"], ["unknown pass 'dca'", "did you mean 'dce'?"]),
        (["graph.toml", "-p", "dce{wights=true}"], ["unknown option 'wights'", "did you mean 'weights'?"]),
        (["graph.toml", "-p", "dce{weights=3}"], ["pass 'dce'", "expected true or false, found 3"]),
        (["graph.toml", "-p", "cse{x=1}"], ["unknown option 'x'", "it has no options"]),
        (["graph.toml", "-p", "dce{weights true}"], ["expected '='", "    dce{weights true}\n", "^"]),
        (["graph.toml", "-p", "dca,dce{x=1}"], ["unknown pass 'dca'", "unknown option 'x'"]),
        (["graph.toml", "-D", "batch=1"], ["-D batch=1", "unknown table 'batch'"]),
        (["graph.toml", "-D", "data"], ["expected KEY=VALUE"]),
        (["graph.toml", "-D", "data=1"], ["expected data.KEY=VALUE"]),
        (["graph.toml", "-D", "passes.dce=1"], ["expected passes.PASS.OPTION=VALUE"]),
        (["graph.toml", "-D", "data.x=[1"], ["malformed value", "^"]),
        (["graph.toml", "-D", "model.source=zoo:toy"], ["INPUT holds the captured graph", "the recipe"]),
        (["graph.toml", "-D", "passes.dca.x=1"], ["unknown pass 'dca'"]),
        (["graph.toml", "-D", "passes.dce.wights=1"], ["unknown key 'wights'", "did you mean 'weights'?"]),
        (["graph.toml", "-D", "passes.dce.weights=1"], ["option 'weights'", "expected true or false"]),
        (["graph.toml", "-p", "dce", "--print-ir-after=cse"], ["the pipeline has no pass 'cse'"]),
        (["graph.toml", "-o", "graph.toml/x"], ["cannot write graph.toml/x/graph.toml"]),
        (["graph.toml", "-o", ""], ["-o is empty", "- for standard output"]),
        (["graph.toml", "--load", "nowhere.py"], ["there is no file 'nowhere.py'"]),
        (["--describe", "quantise"], ["unknown pass 'quantise'", "did you mean 'quantize'?"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_command_line(mase_opt: MaseOpt, words: list[str], fragments: list[str]) -> None:
    assert_told(mase_opt(*words), 2, "error: ", *fragments)


@pytest.mark.parametrize(
    ("old", "new", "fragments"),
    [
        ("nn.tanh", "nn.tahn", ["graph.toml:14: error: unknown op 'nn.tahn'", "did you mean 'nn.tanh'?"]),
        ("f32[N,4]", "fixt<8,4>[N,4]", ["graph.toml:11: error: ", "fixt<8,4>"]),
        ('"a", "b"', '"a", "q"', ["graph.toml:15: error: 'q' is not defined"]),
        ("[nodes]", "[nodes", ["graph.toml:10: error: malformed TOML"]),
        ("mase = 1", "mase = 9", ["graph.toml:1: error: mase = 9 is not a known format version"]),
        ("outputs", "outpust", ["unknown key 'outpust' in [graph]", "did you mean 'outputs'?"]),
        ('type = "f32[N,4]" }\nz', 'type = "f32[N,5]" }\nz', ["node 'dead'"]),
        ("[passes.cse]", "[passes.cse]\nx = 1", ["graph.toml:4: error: [passes.cse]: unknown option 'x'"]),
        ("mase = 1", "mase = 1\n[pipeline]\npasses = 3", ["graph.toml:3: error: [pipeline] passes"]),
        (
            "mase = 1",
            "mase = 1\n[pipeline]\npasses = ['a{']",
            ["graph.toml:3: error: malformed pipeline", "^"],
        ),
        ("mase = 1", "mase = 1\n[pipeline]\npasses = ['dca']", ["graph.toml:3: error: unknown pass 'dca'"]),
    ],
)
def test_wrong_file(mase_opt: MaseOpt, old: str, new: str, fragments: list[str]) -> None:
    Path("graph.toml").write_text(GRAPH.replace(old, new, 1 if "{" not in old else -1))
    words = [] if "[pipeline]" in new else ["-p", "cse"]
    assert_told(mase_opt("graph.toml", *words, "-o", "out/graph.toml"), 1, *fragments)
    assert not Path("out").exists()


def test_missing_file(mase_opt: MaseOpt) -> None:
    assert_told(mase_opt("grph.toml"), 1, "no file grph.toml", "graph.toml")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("net.py", '[model] source = "net.py:Net"'),
        ("net.onnx", '[model] source = "onnx:net.onnx"'),
        ("net.safetensors", "the graph.toml beside it"),
        ("best.ckpt", "`load` takes the weights"),
    ],
)
def test_a_file_of_another_kind(mase_opt: MaseOpt, name: str, remedy: str) -> None:
    Path(name).touch()
    assert_told(mase_opt(name), 1, f"{name} is no graph.toml", remedy)


def test_a_rule_that_an_edit_broke_has_its_line(mase_opt: MaseOpt) -> None:
    text = Path("graph.toml").read_text()
    Path("graph.toml").write_text(text.replace('in = ["a", "b"]', 'in = ["a"]'))
    assert_told(mase_opt("graph.toml"), 1, "graph.toml:15: error: tensor.add: expected 2 operands")
    with pytest.raises(MaseError, match=r"graph\.toml:15: error: tensor\.add"):
        mase.load("graph.toml")


def test_tables_without_effect_are_told(mase_opt: MaseOpt) -> None:
    text = Path("graph.toml").read_text()
    Path("graph.toml").write_text(
        text.replace("[passes.cse]", "[passes.dca]\nx = 1\n[passes.dce]\nwight = true")
    )
    result = mase_opt("graph.toml", "-p", "cse", "-o", "out")
    assert result.status == 0
    assert "graph.toml:3: warning: [passes.dca] has no effect" in result.err
    assert "did you mean 'dce'?" in result.err
    assert "graph.toml:6: warning: [passes.dce] has no option 'wight'" in result.err


def test_neither_graph_nor_recipe(mase_opt: MaseOpt) -> None:
    Path("graph.toml").write_text("mase = 1\n")
    assert_told(mase_opt("graph.toml"), 1, "neither a graph", "source =")


def test_many_faults_fit_one_screen(mase_opt: MaseOpt) -> None:
    nodes = "".join(f'n{i} = {{ op = "nn.rleu", in = ["x"], type = "f32[N,4]" }}\n' for i in range(100))
    Path("graph.toml").write_text(GRAPH + nodes)
    result = mase_opt("graph.toml")
    assert result.err.count("error: ") <= 20
    assert "... and " in result.err


def test_wrong_level_is_found_at_once(mase_opt: MaseOpt) -> None:
    Path("level.py").write_text(
        "from mase.passes import register_pass\n"
        "@register_pass('cli-float-only', requires=('float',))\n"
        "def float_only(graph, ctx): ...\n"
        "@register_pass('cli-quantized', ensures='quantized')\n"
        "def quantized(graph, ctx): raise SystemError('it ran')\n"
    )
    result = mase_opt("graph.toml", "--load", "level.py", "-p", "cli-quantized,cli-float-only")
    assert_told(
        result,
        1,
        "'cli-quantized' before it leaves a graph at level quantized",
        "run 'cli-float-only' before",
    )


def test_missing_data_is_found_at_once(mase_opt: MaseOpt) -> None:
    assert_told(mase_opt("graph.toml", "-p", "eval"), 1, "pass 'eval' needs a data set", "-D data.source")


def test_unknown_data(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml", "-p", "eval", "-D", "data.source=digit")
    assert_told(result, 1, "unknown data set 'digit'", "did you mean 'digits'?")


def test_unknown_data_option(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml", "-p", "eval", "-D", "data.source=digits", "-D", "data.batch=3")
    assert_told(result, 1, "has no option 'batch'", "did you mean 'batch_size'?")


def with_weights() -> None:
    """Write a graph that has a weight, beside its file."""
    import torch

    from mase.ir.files import save
    from mase.ir.text import loads

    node = 'p = { op = "core.parameter", params = { value = "w" }, type = "f32[4]" }'
    text = GRAPH.replace("[nodes]", f'[state]\n"w" = "f32[4]"\n\n[nodes]\n{node}')
    graph = loads(text)
    graph.state["w"] = torch.ones(4)
    save(graph, "weights.toml")


def test_missing_weights(mase_opt: MaseOpt) -> None:
    with_weights()
    Path("weights.safetensors").unlink()
    result = mase_opt("weights.toml", "-p", "cse", "-o", "out/graph.toml")
    assert_told(result, 1, "weights file weights.safetensors is missing", "copy it beside")
    assert not Path("out").exists()
    assert_told(mase_opt("weights.toml", "--check"), 1, "is missing")


def test_changed_weights(mase_opt: MaseOpt) -> None:
    with_weights()
    file = Path("weights.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    result = mase_opt("weights.toml", "-p", "cse", "-o", "out/graph.toml")
    assert_told(result, 1, "does not match the sha256", "restore the file")
    assert not Path("out").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_may_not_be_written(mase_opt: MaseOpt) -> None:
    Path("locked").mkdir(mode=0o500)
    assert_told(mase_opt("graph.toml", "-o", "locked/out"), 2, "cannot write")


# ---------------------------------------------------------------------------------------------------- bugs

BUG = """\
from mase.passes import register_pass

@register_pass("{name}")
def bug(graph, ctx):
    '''Break.'''
    {body}
"""


def test_a_bug_leaves_a_traceback_and_a_reproducer(mase_opt: MaseOpt) -> None:
    Path("bug.py").write_text(BUG.format(name="cli-bug", body="graph.nothing()"))
    result = mase_opt("graph.toml", "--load", "bug.py", "-p", "dce,cli-bug,cse", "-o", "out/graph.toml")
    assert result.status == 3
    assert result.out == ""
    for fragment in (
        "Traceback",
        "AttributeError: 'Graph' object has no attribute 'nothing'",
        "in pass 'cli-bug', number 2 of the pipeline",
        "bug.py:6",
        "to see it again: mase-opt out/reproducer/graph.toml",
    ):
        assert fragment in result.err
    again = mase_opt("out/reproducer/graph.toml", "--load", "bug.py")
    assert again.status == 3
    assert "no attribute 'nothing'" in again.err


def test_a_pass_that_leaves_nonsense(mase_opt: MaseOpt) -> None:
    body = "graph['a'].inputs = []"
    Path("bug.py").write_text(BUG.format(name="cli-nonsense", body=body))
    result = mase_opt("graph.toml", "--load", "bug.py", "-p", "cli-nonsense", "-o", "out/graph.toml")
    assert_told(result, 1, "bug.py:3: error: pass 'cli-nonsense' left an invalid graph", "node 'a'")
    assert "to see it again: mase-opt out/reproducer/graph.toml" in result.err
    assert not Path("out/graph.toml").exists()


def test_a_file_that_cannot_be(mase_opt: MaseOpt) -> None:
    Path("file").touch()
    assert_told(
        mase_opt("graph.toml", "-p", "plot{file='file/x.svg'}"), 1, "cannot write file/x.svg", "another"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_no_bug(mase_opt: MaseOpt) -> None:
    mase_opt("graph.toml", "-o", "out")  # for the graph.toml beside
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "mase.cli.opt", "out/graph.toml"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


def test_an_error_on_the_way_out_of_an_interrupt_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def act(_: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RecursionError("a package that is half imported")

    assert guard(parse_arguments, act, ["graph.toml"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_interrupted(mase_opt: MaseOpt) -> None:
    Path("stop.py").write_text(BUG.format(name="cli-stop", body="raise KeyboardInterrupt"))
    result = mase_opt("graph.toml", "--load", "stop.py", "-p", "cli-stop")
    assert_told(result, 130, "interrupted")


def test_a_command_that_is_refused_at_once_leaves_nothing(mase_opt: MaseOpt) -> None:
    Path("recipe.toml").write_text('mase = 1\n[model]\nsource = "zoo:toy"\n[data]\nsource = "toy-tiny"\n')
    result = mase_opt("recipe.toml", "-p", "train{optimizer=addam}", "-o", "out")
    assert (result.status, "did you mean 'adam'?" in result.err) == (1, True)
    assert not Path("out", ".unfinished-graph").exists()
