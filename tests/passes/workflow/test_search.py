"""The search: its space, what it measures, what it finds, and what it does when cut off."""

from __future__ import annotations

import csv
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tqdm import tqdm

from mase.ir import Graph, MaseError, UsageError
from mase.ir.files import read_document, save
from mase.ir.ops import nn
from mase.passes import Context, Pipeline, register_pass
from mase.passes.transforms import choose_formats
from mase.passes.transforms.quantize import Quantize
from mase.passes.workflow.search import Search
from mase.passes.workflow.searching.measure import Bench
from mase.passes.workflow.searching.objectives import Objective
from mase.passes.workflow.searching.outcomes import Outcome, outcomes_of, pick_best
from mase.passes.workflow.searching.storage import ProcessLock, open_storage
from mase.passes.workflow.searching.study import SharedStudy
from mase.passes.workflow.train import Train
from mase.runtime.data import make_data
from mase.runtime.lower import lower
from mase.runtime.training.config import TrainConfig
from tests.passes.graphs import graph_input, layer, net

SMALL = [{"op": "nn.linear", "weight": ["fixed<2>", "fixed<8>"], "data_in": ["fixed<3>", "fixed<8>"]}]
SAMPLERS = [
    "tpe",
    "grid",
    *(pytest.param(n, marks=pytest.mark.slow) for n in ("nsga2", "random", "brute_force")),
]
ROOT = Path(__file__).parents[3]


def search(folder: Path | None = None, graph: Graph | None = None, **options: Any) -> Context:
    """Run the pass and give its context."""
    graph = graph or net()
    text = StringIO()
    ctx = Context(graph, output_dir=folder, console=Console(file=text))
    Search(**options).run(graph, ctx)
    ctx.printed = text.getvalue()  # type: ignore[attr-defined]
    return ctx


def table(folder: Path, name: str = "trials") -> list[dict[str, str]]:
    with (folder / "search_ckpts" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def results(folder: Path) -> list[dict[str, str]]:
    """What the trials were and gave, in order, without their numbers and times."""
    drop = ("trial", "seconds")
    return [{k: v for k, v in row.items() if k not in drop} for row in table(folder)]


def job(**options: Any) -> Any:
    graph = net()
    return Search(**options)._job(graph, Context(graph))


# -- the space ----------------------------------------------------------------------------------


def choices(rules: list[dict[str, Any]], **options: Any) -> dict[str, tuple[str, ...]]:
    return job(space=rules, **options).space.choices


def test_default_space_is_weight_and_data_in_of_every_layer() -> None:
    three = ("fixed<2>", "fixed<4>", "fixed<8>")
    names = ["fc1.weight", "fc1.data_in", "relu.data_in", "fc2.weight", "fc2.data_in"]
    assert job().space.choices == dict.fromkeys(names, three)


def test_later_rules_refine_earlier_ones_role_by_role() -> None:
    rules = [*SMALL, {"scope": "fc2", "weight": ["fixed<4>", "fixed<6>", "f32"]}]
    found = choices(rules)
    assert found["fc2.weight"] == ("fixed<4>", "fixed<6>", "f32")
    assert found["fc2.data_in"] == ("fixed<3>", "fixed<8>")
    assert found["fc1.weight"] == ("fixed<2>", "fixed<8>")


def test_one_choice_is_no_decision_but_holds() -> None:
    made = job(space=[*SMALL, {"scope": "fc2", "weight": "fixed<5>"}])
    assert "fc2.weight" not in made.space.choices
    graph = made.quantized({name: texts[0] for name, texts in made.space.choices.items()})
    assert str(graph["fc2"].op.weight).startswith("fixed<5,")


def test_layers_may_decide_together() -> None:
    both = ["fixed<4>", "fixed<8>"]
    by_op = job(space=[{"op": "*", "per": "op", "data_in": both}]).space
    assert {d.name: d.nodes for d in by_op.dimensions} == {
        "nn.linear.data_in": ("fc1", "fc2"),
        "nn.relu.data_in": ("relu",),
    }
    by_rule = job(space=[{"scope": "fc*", "per": "rule", "weight": both}]).space
    assert {d.name: d.nodes for d in by_rule.dimensions} == {"scope = fc*.weight": ("fc1", "fc2")}


def test_skip_leaves_nodes_to_the_base() -> None:
    assert set(choices([*SMALL, {"scope": "fc2", "skip": True}])) == {"fc1.weight", "fc1.data_in"}
    base = Quantize(rules=[{"scope": "fc1", "skip": True}])
    assert set(choices(SMALL, base=base)) == {"fc2.weight", "fc2.data_in"}


def test_keyed_style_takes_lists() -> None:
    rule = {"op": "linear", "name": "integer", "weight_width": [4, 8], "weight_frac_width": [2, 3]}
    assert choices([rule])["fc1.weight"] == ("fixed<4,2>", "fixed<4,3>", "fixed<8,2>", "fixed<8,3>")


def test_a_module_called_twice_decides_once() -> None:
    graph = Graph("twice")
    x = graph_input(graph, "f32[N,4]")
    h = layer(graph, nn.Linear(), x, scope="fc", weight=torch.eye(4))
    again = graph.add(nn.Linear(), h, params=dict(h.params), scope="fc")
    graph.outputs = [again]
    graph.header.data = {"source": "toy-tiny"}
    space = Search(space=SMALL)._job(graph, Context(graph)).space
    assert {d.name: d.nodes for d in space.dimensions} == {
        "fc.weight": ("fc", again.name),
        "fc.data_in": ("fc", again.name),
    }


def test_mistakes_in_the_space() -> None:
    with pytest.raises(MaseError, match="did you mean 'weight'"):
        Search(space=[{"op": "nn.linear", "wieght": ["fixed<4>"]}])
    with pytest.raises(MaseError, match="unknown format"):
        Search(space=[{"op": "nn.linear", "weight": ["fixed<4>", "fixt<8>"]}])
    with pytest.raises(MaseError, match="no format"):
        Search(space=[{"op": "nn.linear", "weight": []}])
    with pytest.raises(MaseError, match="gives no formats"):
        Search(space=[{"op": "nn.linear"}])
    with pytest.raises(MaseError, match="did you mean 'layer'"):
        Search(space=[{"op": "nn.linear", "per": "leyer", "weight": ["fixed<4>"]}])
    with pytest.raises(MaseError, match="nothing to choose"):
        search(space=[{"op": "nn.linear", "weight": ["fixed<4>"]}])


def test_a_rule_that_does_nothing_is_warned_of() -> None:
    ctx = search(
        space=[*SMALL, {"scope": "fc9", "weight": ["fixed<4>"]}, {"op": "relu", "weight": "fixed<4>"}],
        trials=1,
    )
    said = [str(d) for d in ctx.diagnostics]
    assert any("fc9" in text and "matches no node" in text and "did you mean" in text for text in said)
    assert any("no node that has weight" in text for text in said)


# -- what is measured ---------------------------------------------------------------------------


def test_all_int8_is_exactly_8_bits(tmp_path: Path) -> None:
    search(tmp_path, trials=8)
    rows = table(tmp_path)
    wide = [r for r in rows if all(r[n] == "fixed<8>" for n in ("fc1.weight", "fc2.weight"))]
    assert wide
    assert {float(r["average_bits"]) for r in wide} == {8.0}
    assert float(wide[0]["memory"]) == (8 * 48 + 32 * 10) / 8  # weights at 8 bits, biases at 32


def test_nothing_leaks_from_trial_to_trial() -> None:
    for options in ({}, {"train_steps": 3, "train": TrainConfig(learning_rate=0.01)}):
        made = job(**options)
        a, b = (dict.fromkeys(made.space.choices, f"fixed<{w}>") for w in (2, 8))
        alone = made.bench.run(made.quantized(a))
        other = made.bench.run(made.quantized(b))
        assert made.bench.run(made.quantized(a)) == alone != other
        assert job(**options).bench.run(made.quantized(b)) == other


def test_trials_learn_from_the_float_graph() -> None:
    taught: dict[str, Any] = {"distill": "float", "distill_weight": 1.0, "learning_rate": 0.02}
    made, labels_alone = (
        job(train_steps=6, train=TrainConfig(**how)) for how in (taught, {"learning_rate": 0.02})
    )
    widths = dict.fromkeys(made.space.choices, "fixed<3>")
    graph, other, by_hand = made.quantized(widths), labels_alone.quantized(widths), made.quantized(widths)
    found = made.bench.run(graph)
    assert labels_alone.bench.run(other) != found

    seed = made.bench.train.seed
    train = Train(**taught, max_epochs=-1, max_steps=6, seed=seed, baseline=False, report_to="none")
    ctx = Context(by_hand)
    train.run(by_hand, ctx)
    assert ctx.metrics["val/loss"]["trained"] == found["val/loss"]
    assert all(torch.equal(by_hand.state[key], graph.state[key]) for key in graph.state)
    assert not any(torch.equal(by_hand.state[key], net().state[key]) for key in graph.state)


def test_a_search_says_who_teaches(tmp_path: Path) -> None:
    graph = net()
    Pipeline('search{trials=2 train_steps=1 train={distill="float"}}').run(graph, output_dir=tmp_path)
    assert all(row["val/accuracy"] for row in table(tmp_path))
    with pytest.raises(MaseError, match=r"there is no teacher at 'nobody\.toml'"):
        Pipeline('search{trials=2 train_steps=1 train={distill="nobody.toml"}}').run(net())


def test_data_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    true = choose_formats.collect_sketches
    monkeypatch.setattr(choose_formats, "collect_sketches", lambda *a, **k: calls.append(1) or true(*a, **k))
    search(trials=6, base=Quantize(calibrate="mse"))
    assert calls == [1]


@pytest.mark.parametrize("calibrate", ["range", "mse"])
def test_a_trial_is_what_quantize_makes_of_its_formats(calibrate: Any) -> None:
    base = Quantize(calibrate=calibrate, default={"data_in": "fixed<5>", "weight": "fixed<6>"})
    made = job(space=SMALL, base=base)
    ours = made.quantized(
        {
            "fc1.weight": "fixed<2>",
            "fc1.data_in": "fixed<3>",
            "fc2.weight": "fixed<8>",
            "fc2.data_in": "fixed<8>",
        }
    )
    theirs = net()
    rules = [
        {"scope": "fc1", "weight": "fixed<2>", "data_in": "fixed<3>"},
        {"scope": "fc2", "weight": "fixed<8>", "data_in": "fixed<8>"},
    ]
    Quantize(calibrate=calibrate, default=base.default, rules=rules).run(theirs, Context(theirs))
    assert ours == theirs


def test_batches_limit_what_is_measured() -> None:
    made = job(batches=1)
    graph = net()
    inputs, labels = next(iter(made.bench.ctx.data.val_dataloader()))
    with torch.no_grad():
        right = (lower(graph).eval()(inputs).argmax(1) == labels).float().mean()
    assert made.bench.quality(graph)["val/accuracy"] == pytest.approx(float(right))


@register_pass("test-latency")
def latency(graph: Graph, ctx: Context) -> None:
    """Record a latency that 8-bit weights make worst."""
    wide = sum(getattr(n.op, "weight", None) is not None and n.op.weight.bits == 8 for n in graph.nodes)
    ctx.record("latency", graph.level, 1.0 + wide)


def test_any_recorded_metric_can_be_an_objective(tmp_path: Path) -> None:
    wanted = Objective("latency", "minimize")
    search(tmp_path, space=SMALL, measure="test-latency", objectives=[wanted], sampler="grid")
    assert {row["fc1.weight"] + row["fc2.weight"] for row in table(tmp_path, "pareto")} == {
        "fixed<2>fixed<2>"
    }
    with pytest.raises(MaseError, match="needs a direction"):
        search(measure="test-latency", objectives=["latency"])
    with pytest.raises(MaseError, match="did you mean 'latency'"):
        search(measure="test-latency", objectives=[Objective("latancy", "minimize")], trials=1)


# -- what is found ------------------------------------------------------------------------------


def enumeration(rules: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """Every configuration of `SMALL`, measured by the passes that users know."""
    found: dict[tuple[str, ...], float] = {}
    data = make_data("toy-tiny")
    for texts in itertools.product(["fixed<2>", "fixed<8>"], ["fixed<3>", "fixed<8>"], repeat=2):
        graph = net()
        tables = [
            f'{{scope="fc1" weight="{texts[0]}" data_in="{texts[1]}"}}',
            f'{{scope="fc2" weight="{texts[2]}" data_in="{texts[3]}"}}',
        ]
        ctx = Context(graph, data=data)
        Pipeline(f"quantize{{rules=[{', '.join(tables)}]}},eval{{split=val}}").run_in(ctx)
        found[texts] = ctx.metrics["val/accuracy"]["quantized"]
    return found


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
def test_exhaustive_samplers_try_everything_once(sampler: str, tmp_path: Path) -> None:
    search(tmp_path, space=SMALL, sampler=sampler)
    names = ("fc1.weight", "fc1.data_in", "fc2.weight", "fc2.data_in")
    rows = table(tmp_path)
    assert len(rows) == 16
    assert {tuple(r[n] for n in names): float(r["val/accuracy"]) for r in rows} == enumeration(SMALL)


def test_the_pareto_front_is_what_nothing_dominates(tmp_path: Path) -> None:
    search(tmp_path, space=SMALL, sampler="grid", objectives=["accuracy", "average_bits", "bit_ops"])
    points = {
        row["trial"]: (-float(row["val/accuracy"]), float(row["average_bits"]), float(row["bit_ops"]))
        for row in table(tmp_path)
    }
    front = {
        number
        for number, mine in points.items()
        if not any(
            other != mine and all(o <= m for o, m in zip(other, mine, strict=True))
            for other in points.values()
        )
    }
    assert {row["trial"] for row in table(tmp_path, "pareto")} == front
    assert {row["trial"] for row in table(tmp_path) if row["front"] == "true"} == front


def test_one_objective_under_constraints(tmp_path: Path) -> None:
    ctx = search(
        tmp_path, space=SMALL, sampler="grid", objectives=["accuracy"], constraints=["average_bits <= 4"]
    )
    rows = [row for row in table(tmp_path) if float(row["average_bits"]) <= 4]
    assert {row["trial"] for row in rows} == {r["trial"] for r in table(tmp_path) if r["feasible"] == "true"}
    best = max(float(row["val/accuracy"]) for row in rows)
    assert ctx.metrics["val/accuracy"]["best trial"] == best
    assert ctx.metrics["average_bits"]["best trial"] <= 4


def test_constraints_that_nothing_keeps_to() -> None:
    with pytest.raises(MaseError, match=r"none of 4 trials keeps to .* average_bits <= 1, nearest 2"):
        search(space=SMALL, trials=4, constraints=["average_bits <= 1"])


def test_tolerance_trades_the_first_objective_for_the_second() -> None:
    values = [(0.98, 8.0), (0.975, 4.0), (0.90, 2.0)]
    trials = [
        Outcome(number=i, chosen={}, metrics={"a": a, "b": b}, feasible=True, front=True, seconds=0)
        for i, (a, b) in enumerate(values)
    ]
    objectives = [Objective("a", "maximize"), Objective("b", "minimize")]
    for tolerance, number in ((0.0, 0), (0.01, 1), (0.1, 2)):
        best = pick_best(trials, objectives, tolerance)
        assert best is not None
        assert best.number == number


def test_the_graph_is_the_best_trial(tmp_path: Path) -> None:
    graph = net()
    before = {key: graph.state[key].clone() for key in graph.state}
    ctx = search(tmp_path, graph, trials=6, train_steps=2, write_pareto=True)
    assert graph.level == "quantized"
    assert all(torch.equal(graph.state[key], value) for key, value in before.items())
    best = next(
        row
        for row in table(tmp_path)
        if float(row["val/accuracy"]) == ctx.metrics["val/accuracy"]["best trial"]
    )
    for scope in ("fc1", "fc2"):
        chosen = best[f"{scope}.weight"].removesuffix(">")
        assert str(graph[scope].op.weight).startswith(f"{chosen},")  # type: ignore[attr-defined]


def test_graphs_of_the_front_measure_as_their_trials(tmp_path: Path) -> None:
    ctx = search(tmp_path, trials=8, write_pareto=True)
    written = sorted((tmp_path / "search_ckpts" / "pareto").glob("*.toml"))
    rows = {row["trial"]: row for row in table(tmp_path)}
    assert written
    for path in written:
        made = read_document(path).graph
        assert made is not None
        again = Context(made)
        Pipeline("eval{split=val}").run_in(again)
        row = rows[path.stem.removeprefix("trial-")]
        assert again.metrics["val/accuracy"]["quantized"] == float(row["val/accuracy"])
    assert "Pareto front" in ctx.printed  # type: ignore[attr-defined]


def test_files(tmp_path: Path) -> None:
    ctx = search(tmp_path, trials=4)
    folder = tmp_path / "search_ckpts"
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "pareto.html").read_text()
    assert "<svg" in page
    assert "http" not in page  # needs nothing but itself
    assert {path.name for path in ctx.artifacts} == {"pareto.csv", "trials.csv", "pareto.html", "pareto.png"}
    assert ctx.metrics["average_bits"]["float"] == 32


def test_progress_shows_the_best_so_far() -> None:
    text = StringIO()
    graph = net()
    ctx = Context(graph, console=Console(file=text, force_terminal=True, width=120))
    Search(trials=3).run(graph, ctx)
    assert "3/3" in text.getvalue()
    assert "best val/accuracy" in text.getvalue()


# -- mistakes -----------------------------------------------------------------------------------


def test_mistakes_are_found_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="did you mean 'nsga2'"):
        Pipeline("search{sampler=nsga}").check(net().header, "float", has_data=True)
    with pytest.raises(UsageError, match="did you mean 'calibrate'"):
        Pipeline("search{base={calibrat=mse}}").check(net().header, "float", has_data=True)
    with pytest.raises(UsageError, match="average_bits <= 4"):
        Pipeline('search{constraints=["average_bits < 4"]}').check(net().header, "float", has_data=True)
    for wrong in ({"trials": 0}, {"timeout": -1.0}, {"batches": 0}, {"train_steps": -1}, {"tolerance": -0.1}):
        with pytest.raises(UsageError, match="above"):
            Search(**wrong)


def test_unknown_objectives() -> None:
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        search(objectives=["acuracy"])
    with pytest.raises(UsageError, match="did you mean 'average_bits'"):
        search(objectives=["average_bit"])
    with pytest.raises(UsageError, match='set split = "test"'):
        search(objectives=["test/accuracy"])
    with pytest.raises(MaseError, match="did you mean 'memory'"):
        search(constraints=["memry <= 4"], trials=1)


def test_a_space_too_large_to_list_can_still_be_walked(tmp_path: Path) -> None:
    many = [f"fixed<{i}>" for i in range(2, 33)]
    search(tmp_path, space=[{"op": "*", "weight": many, "data_in": many}], sampler="brute_force", trials=5)
    assert len({row["fc1.weight"] + row["fc2.weight"] for row in table(tmp_path)}) > 1


# -- studies that go on -------------------------------------------------------------------------


def study_of(folder: Path) -> Any:
    import optuna

    storage = open_storage(folder / "search_ckpts" / "study.log")
    [name] = [each.study_name for each in optuna.get_all_study_summaries(storage)]
    return optuna.load_study(study_name=name, storage=storage)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random", "grid", "brute_force"])
def test_same_seed_same_search(sampler: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        search(tmp_path / name, sampler=sampler, trials=14, seed=3)
    assert results(tmp_path / "a") == results(tmp_path / "b")
    search(tmp_path / "c", sampler=sampler, trials=14, seed=4)
    assert (results(tmp_path / "a") == results(tmp_path / "c")) == (sampler == "grid")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_in_parts_is_the_whole_search(sampler: str, tmp_path: Path) -> None:
    search(tmp_path / "whole", sampler=sampler, trials=16)
    for trials in (1, 5, 11, 16, 16):
        search(tmp_path / "parts", sampler=sampler, trials=trials)
        assert len(table(tmp_path / "parts")) == trials
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(tmp_path / "whole", sampler=sampler, space=SMALL, trials=16)
    true, left = Bench.run, [3]

    def run(self: Bench, graph: Graph) -> dict[str, float]:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return true(self, graph)

    monkeypatch.setattr(Bench, "run", run)
    for after in (1, 4, 2):
        left[0] = after
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "parts", sampler=sampler, space=SMALL, trials=16)
    left[0] = -1
    search(tmp_path / "parts", sampler=sampler, space=SMALL, trials=16)
    assert sorted(map(str, results(tmp_path / "parts"))) == sorted(map(str, results(tmp_path / "whole")))


@pytest.mark.parametrize("cut", [21, 22, 23])  # in the sixth trial, which makes four choices
def test_a_trial_cut_off_amid_its_choices_makes_the_same_ones(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna.trial import Trial

    search(tmp_path / "whole", space=SMALL, trials=6)
    true, left = Trial.suggest_categorical, [cut]

    def suggest(self: Trial, name: str, choices: list[str]) -> str:
        left[0] -= 1
        if left[0] == -1:
            raise KeyboardInterrupt
        return true(self, name, choices)

    monkeypatch.setattr(Trial, "suggest_categorical", suggest)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", space=SMALL, trials=6)
    search(tmp_path / "parts", space=SMALL, trials=6)
    assert sorted(map(str, results(tmp_path / "parts"))) == sorted(map(str, results(tmp_path / "whole")))


def forked(target: Callable[..., None], *args: Any, **options: Any) -> Any:
    """Run something in another process, without importing torch once more.

    The lock of progress bars is shared with children; one that is killed while it holds that would halt us.
    """

    def alone() -> None:
        tqdm.set_lock(threading.RLock())
        target(*args, **options)

    process = multiprocessing.get_context("fork").Process(target=alone)
    process.start()
    return process


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))])
@pytest.mark.parametrize("sampler", ["tpe", "brute_force"])
def test_killed_at_random_points_a_search_loses_at_most_the_trial_in_flight(
    sampler: str, seed: int, tmp_path: Path
) -> None:
    search(tmp_path / "whole", trials=16, space=SMALL, sampler=sampler)
    place, before, moments = tmp_path / "killed", 0, random.Random(seed)
    for _ in range(6):
        process = forked(search, place, trials=16, space=SMALL, sampler=sampler)
        time.sleep(moments.uniform(0.02, 0.6))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        done = _complete(place)
        assert done >= before
        before = done
    search(place, trials=16, space=SMALL, sampler=sampler)
    assert sorted(map(str, results(place))) == sorted(map(str, results(tmp_path / "whole")))


def _complete(folder: Path) -> int:
    from optuna.trial import TrialState

    try:
        trials = study_of(folder).get_trials(deepcopy=False)
    except ValueError:  # killed before there was a study
        return 0
    running = [t for t in trials if t.state == TrialState.RUNNING]
    assert len(running) <= 1, "more than the trial in flight is lost"
    return sum(t.state == TrialState.COMPLETE for t in trials)


@pytest.mark.parametrize("sampler", ["tpe", "brute_force"])
@pytest.mark.parametrize("database", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_share_a_study(sampler: str, database: bool, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db" if database else str(tmp_path / "study.log")
    if database:
        open_storage(storage)  # sqlite itself cannot make tables twice at once
    options = {"storage": storage, "study_name": "shared", "space": SMALL, "sampler": sampler, "trials": 16}
    places = [tmp_path / "a", tmp_path / "b"]
    workers = [forked(search, place, **options) for place in places]
    for process in workers:
        process.join(60)
        assert process.exitcode == 0
    assert results(places[0]) == results(places[1]), "who is ready first waits for the other"
    if sampler == "tpe":
        assert len(table(places[0])) == 16, "no trial too many, none too few"
    else:
        names = ("fc1.weight", "fc1.data_in", "fc2.weight", "fc2.data_in")
        assert len({tuple(row[n] for n in names) for row in table(places[0])}) == 16
    import optuna

    study = optuna.load_study(study_name="shared", storage=open_storage(storage))
    assert len({t.user_attrs["worker"]["pid"] for t in study.get_trials()}) == 2


def test_a_named_study_is_for_one_search_only(tmp_path: Path) -> None:
    options = {"storage": str(tmp_path / "study.log"), "study_name": "mine", "trials": 2}
    search(**options)
    with pytest.raises(MaseError, match="differs in space"):
        search(**options, space=SMALL)
    with pytest.raises(MaseError, match="differs in objectives"):
        search(**options, objectives=["accuracy"])
    graph = net()
    graph.state["fc1.weight"] = graph.state["fc1.weight"] * 2
    with pytest.raises(MaseError, match="differs in weights"):
        search(graph=graph, **options)


def test_a_journal_whose_last_line_was_cut_off_is_mended(tmp_path: Path) -> None:
    search(tmp_path, trials=2)
    journal = tmp_path / "search_ckpts" / "study.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    search(tmp_path, trials=4)
    assert len(table(tmp_path)) == 4
    assert len(outcomes_of(study_of(tmp_path))) == 4


def test_a_trial_of_a_machine_that_is_gone_does_not_stop_the_search(tmp_path: Path) -> None:
    from datetime import datetime, timedelta

    from optuna.trial import TrialState, create_trial

    search(tmp_path, trials=2)
    study = study_of(tmp_path)
    long_ago = datetime.now() - timedelta(hours=1)
    lost = create_trial(state=TrialState.RUNNING, user_attrs={"worker": {"host": "elsewhere", "pid": 1}})
    lost.datetime_start = long_ago
    study.add_trial(lost)
    search(tmp_path, trials=3)
    assert len(table(tmp_path)) == 3


def test_timeout_begins_no_further_trial(tmp_path: Path) -> None:
    search(tmp_path, trials=2)
    search(tmp_path, trials=100_000, timeout=1.0)
    assert 2 < len(table(tmp_path)) < 1000


def test_a_trial_that_fails_is_told_and_not_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, calls = Bench.run, [0]

    def run(self: Bench, graph: Graph) -> dict[str, float]:
        calls[0] += 1
        if calls[0] == 3:
            raise MaseError.of("training diverged")
        return true(self, graph) | ({"val/loss": float("nan")} if calls[0] == 5 else {})

    monkeypatch.setattr(Bench, "run", run)
    ctx = search(tmp_path, trials=6, objectives=["loss"])
    assert len(table(tmp_path)) == 4
    assert any("2 trials have no result" in str(d) for d in ctx.diagnostics)


def test_shared_study_counts_only_what_counts(tmp_path: Path) -> None:
    search(tmp_path, trials=3)
    shared = SharedStudy(study_of(tmp_path), open_storage(None), "tpe", {}, 3, ProcessLock(None))
    assert (shared.done(), shared.under_way(), shared.reasons()) == (3, 3, [])


# -- as users start it --------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_killed_and_started_again(tmp_path: Path) -> None:
    save(net(), tmp_path / "net.toml")
    command = [
        sys.executable,
        "-m",
        "mase.cli.opt",
        "--passes",
        "search{trials=40}",
        "net.toml",
        "-o",
        "out/graph.toml",
    ]
    moments = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
        )
        time.sleep(moments.uniform(3, 7))
        process.kill()
        process.wait()
        if (tmp_path / "out" / "search_ckpts" / "study.log").exists():
            _complete(tmp_path / "out")
    subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        stderr=subprocess.DEVNULL,
    )
    assert len(table(tmp_path / "out")) == 40
