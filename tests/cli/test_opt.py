"""``mase-opt``: what it prints, what it writes, and how it is told."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from mase.cli.opt import main
from mase.ir.files import read_document
from tests.cli.conftest import GRAPH, MaseOpt

ROOT = Path(__file__).parents[2]
CUSTOM = '''\
from mase.ir import Graph
from mase.ir.ops import nn
from mase.passes import Context, register_pass

@register_pass("tanh-for-relu", changes_numbers=True)
def tanh_for_relu(graph: Graph, ctx: Context, *, limit: int = 10) -> None:
    """Replace the first relus.

    Args:
        limit: how many at most.
    """
    for node in graph.find(nn.Relu)[:limit]:
        node.op = nn.Tanh()
        ctx.stat("replaced")
    ctx.record("replaced", "float", ctx.stats["tanh-for-relu"]["replaced"])
'''


# --------------------------------------------------------------------------------------------- input, output


def test_without_passes_it_prints_the_graph(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml")
    assert (result.status, result.out, result.err) == (0, GRAPH, "")


def test_pipes(mase_opt: MaseOpt, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mase_opt("graph.toml", "-p", "cse")
    monkeypatch.setattr(sys, "stdin", io.StringIO(first.out))
    second = mase_opt("-", "--passes", "dce")
    assert second.out == mase_opt("graph.toml", "-p", "cse,dce").out
    assert 'passes = ["cse", "dce"]' in second.out


def test_output_file(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml", "-p", "cse", "-o", "new/folder/g.toml")
    assert (result.status, result.out) == (0, "")
    assert "wrote new/folder/g.toml" in result.err
    assert mase_opt("new/folder/g.toml").out == Path("new/folder/g.toml").read_text()
    assert [path.name for path in Path("new/folder").iterdir()] == ["g.toml"]


def test_output_folder(mase_opt: MaseOpt) -> None:
    assert mase_opt("graph.toml", "-p", "cse", "-o", "out").status == 0
    assert read_document("out/graph.toml").graph is not None
    assert mase_opt("out").out == mase_opt("out/graph.toml").out == Path("out/graph.toml").read_text()


def test_output_to_standard_output(mase_opt: MaseOpt) -> None:
    assert mase_opt("graph.toml", "-p", "cse", "-o", "-").out.startswith("mase = 1\n")


def test_failure_writes_nothing(mase_opt: MaseOpt) -> None:
    Path("crash.py").write_text(CUSTOM.replace("tanh-for", "crash-for") + "    raise SystemError('late')\n")
    result = mase_opt("graph.toml", "--load", "crash.py", "-p", "dce,crash-for-relu", "-o", "out/graph.toml")
    assert result.status == 3
    assert not Path("out/graph.toml").exists()


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m mase.cli.opt --describe train | head -n 1"
    run = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stderr == ""


# ----------------------------------------------------------------------------------------- where options come


def test_pipeline_of_the_file(mase_opt: MaseOpt) -> None:
    Path("graph.toml").write_text(
        GRAPH.replace("mase = 1\n", 'mase = 1\n[pipeline]\npasses = ["cse", "dce"]\n')
    )
    result = mase_opt("graph.toml")
    assert 'passes = ["cse", "dce"]' in result.out
    assert "[pipeline]" not in result.out, "what has run does not run again"
    explicit = mase_opt("graph.toml", "-p", "dce")
    assert '[pipeline]\npasses = ["cse", "dce"]' in explicit.out


def test_define_reaches_passes_and_tables(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml", "-p", "dce", "-D", "passes.dce.weights=false", "-D", "data.source=digits")
    assert 'passes = ["dce{weights=false}"]' in result.out
    assert '[data]\nsource = "digits"' in result.out
    beaten = mase_opt("graph.toml", "-p", "dce{weights=true}", "-D", "passes.dce.weights=false")
    assert 'passes = ["dce{weights=true}"]' in beaten.out


def test_define_the_pipeline(mase_opt: MaseOpt) -> None:
    assert 'passes = ["cse"]' in mase_opt("graph.toml", "-D", 'pipeline.passes=["cse"]').out


def test_seed_reaches_the_weights(mase_opt: MaseOpt) -> None:
    Path("recipe.toml").write_text('mase = 1\n[model]\nsource = "zoo:toy-tiny"\n')
    for seed in ("0", "3", "4"):
        assert mase_opt("recipe.toml", "--seed", seed, "-o", f"seed{seed}").status == 0
    assert mase_opt("recipe.toml", "-D", "model.seed=3", "-o", "model3").status == 0
    weights = {
        folder: Path(folder, "graph.safetensors").read_bytes() for folder in ("seed0", "seed3", "seed4")
    }
    assert len(set(weights.values())) == 3
    assert Path("model3/graph.safetensors").read_bytes() == weights["seed3"]


def test_several_passes_options_are_one_pipeline(mase_opt: MaseOpt) -> None:
    assert mase_opt("graph.toml", "-p", "cse", "-p", "dce").out == mase_opt("graph.toml", "-p", "cse,dce").out


def test_custom_pass_of_few_lines(mase_opt: MaseOpt) -> None:
    assert CUSTOM.count("\n") <= 15
    Path("my_passes.py").write_text(CUSTOM)
    result = mase_opt("graph.toml", "--load", "my_passes.py", "-p", "tanh-for-relu{limit=1}", "--stats")
    assert result.out.count("nn.tanh") == 2
    assert "replaced" in result.err
    described = mase_opt("--load", "my_passes.py", "--describe", "tanh-for-relu")
    assert "limit: int = 10\n      how many at most." in described.out


# ----------------------------------------------------------------------------------------------- watching


def test_watching(mase_opt: MaseOpt) -> None:
    flags = ["--timing", "--stats", "--diff", "--print-ir-after=cse", "--dump-dir", "stages"]
    result = mase_opt("graph.toml", "-p", "dce,cse", *flags)
    assert result.status == 0
    assert "// dce changed\n- dead = nn.tanh(x): f32[N,4]" in result.err
    assert "// after cse\nmase = 1" in result.err
    assert "// after dce" not in result.err
    for word in ("timing", "statistics", "merged", "total"):
        assert word in result.err
    assert sorted(path.name for path in Path("stages").iterdir()) == ["00-input", "01-dce", "02-cse"]
    assert mase_opt("stages/01-dce/graph.toml").out == result.out


def test_bare_print_ir_after_does_not_take_the_input(mase_opt: MaseOpt) -> None:
    result = mase_opt("--print-ir-after", "graph.toml", "-p", "dce")
    assert "// after dce" in result.err


def test_print_ir_after_change(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml", "-p", "dce,dce", "--print-ir-after-change")
    assert result.err.count("// after") == 1


def test_verify_numbers(mase_opt: MaseOpt) -> None:
    Path("liar.py").write_text(
        CUSTOM.replace(", changes_numbers=True", "").replace("tanh-for", "tanh-not-for")
    )
    assert mase_opt("graph.toml", "-p", "cse,dce", "--verify-numbers").status == 0
    text = Path("liar.py").read_text().replace('ctx.stats["tanh-not-for-relu"]["replaced"]', "1")
    Path("liar.py").write_text(text)
    result = mase_opt("graph.toml", "--load", "liar.py", "-p", "tanh-not-for-relu", "--verify-numbers")
    assert result.status == 1
    assert "changed the numbers of the graph" in result.err


def test_color(mase_opt: MaseOpt) -> None:
    assert "\x1b[" in mase_opt("nowhere.toml", "--color", "always").err
    assert "\x1b[" not in mase_opt("nowhere.toml", "--color=never").err
    assert "\x1b[" not in mase_opt("nowhere.toml").err


def test_color_shows_the_line(mase_opt: MaseOpt) -> None:
    Path("graph.toml").write_text(GRAPH.replace("nn.tanh", "nn.tan"))
    assert '14 | dead = { op = "nn.tan"' in mase_opt("graph.toml", "--color=always").err


# ----------------------------------------------------------------------------------------- instead of running


def test_check(mase_opt: MaseOpt) -> None:
    result = mase_opt("graph.toml", "--check", "-p", "cse")
    assert (result.status, result.out) == (0, "")
    assert result.err == "graph.toml: a float graph of 5 nodes\n"
    assert mase_opt("graph.toml", "--check", "-p", "sce").status == 2
    Path("recipe.toml").write_text('mase = 1\n[model]\nsource = "zoo:toy"\n')
    assert mase_opt("recipe.toml", "--check").err == "recipe.toml: a recipe, well-formed\n"


def test_list_and_describe(mase_opt: MaseOpt) -> None:
    listed = mase_opt("--list-passes").out
    for name in ("quantize", "train", "eval", "dce"):
        assert any(line.startswith(f"{name} ") for line in listed.splitlines())
    described = mase_opt("--describe", "fold-batchnorm").out
    assert described.startswith("fold-batchnorm: ")
    assert "Options" in described


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for word in ("examples:", "exit status:", "options of a pass, strongest first:", "--describe quantize"):
        assert word in text


@pytest.mark.parametrize(
    "words", [["--help"], ["--list-passes"], ["--describe", "train"], ["{graph}", "-p", "dce,cse"]]
)
def test_light(  # benchmarks/startup.py measures how fast that is
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "graph.toml").write_text(GRAPH)
    words = [word.format(graph=tmp_path / "graph.toml") for word in words]
    program = (
        "import sys, contextlib, mase.cli.opt\n"
        "with contextlib.suppress(SystemExit): mase.cli.opt.main(sys.argv[1:])\n"
        "print('HEAVY', *(m for m in ('torch', 'numpy', 'onnx') if m in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.rpartition("HEAVY")[2].split() == []
