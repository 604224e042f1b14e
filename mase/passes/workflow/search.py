"""``search``: find the formats of each layer that give the best accuracy for what they cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError, UsageError, did_you_mean
from mase.ir.graph import Graph
from mase.passes.analyses.calibration import Split
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.quantize import Quantize
from mase.passes.workflow.searching.objectives import Constraint, Objective, parse_constraint, resolve
from mase.passes.workflow.searching.space import DEFAULT, SpaceRule, parse_space_rule
from mase.runtime.training.config import TrainConfig

if TYPE_CHECKING:
    from mase.passes.workflow.searching.job import Job
    from mase.passes.workflow.searching.outcomes import Outcome
    from mase.passes.workflow.searching.study import SharedStudy

__all__ = ["SAMPLERS", "Search"]

SAMPLERS = ("tpe", "nsga2", "random", "grid", "brute_force")
"""The samplers by name; the last two try everything."""

EXHAUSTIVE = ("grid", "brute_force")
TRIALS = 20
UNIFORM = 4
FOLDER = "search_ckpts"


@register_pass(
    "search", requires=("float", "quantized"), ensures="quantized", needs_data=True, changes_numbers=True
)
class Search:
    """Search for the formats of each layer, and quantize the graph with the best found.

    Each trial quantizes a copy of the graph and measures it; ``train`` goes on from the result. The study
    is kept beside the output, so the same command goes on with a search that was cut off, and several
    processes or machines that name one ``storage`` and ``study_name`` share its trials.

    Args:
        space: tables that select nodes as rules of ``quantize`` do and list formats by role; later ones
            refine earlier ones. ``per`` says what decides together: ``layer``, ``op`` or ``rule``;
            ``skip = true`` leaves nodes out. If absent, each layer's ``weight`` and ``data_in`` take 2, 4
            or 8 bits.
        base: options of ``quantize``: for what the space leaves open, and for calibration.
        objectives: metrics, each a name or ``{name = ..., direction = "maximize"}``: of the task
            (``accuracy``, ``loss``), of cost (``average_bits`` of weights, ``memory`` in bytes,
            ``bit_ops``, ...), or recorded by a pass of ``measure``. By default accuracy (or loss) and
            ``average_bits``.
        constraints: bounds such as ``average_bits <= 4``.
        sampler: ``tpe``, ``nsga2``, ``random``, ``grid`` or ``brute_force``.
        trials: how many in all, those of other processes and earlier runs included; by default 20, or
            every configuration for the samplers that try all.
        timeout: seconds after which no further trial begins.
        split: the part of the data that trials are measured on.
        batches: how many batches of it; all by default.
        task: what is measured; by default what the data set says.
        train_steps: optimizer steps to train each trial for before it is measured; the graph that the pass
            leaves has its weights as they were.
        train: options of ``train`` for that.
        measure: a pipeline to run on each trial, for what its passes record.
        seed: seeds the sampler and training; by default the run's.
        storage: a journal file or the URL of a database (``sqlite:///study.db``); by default
            ``search_ckpts/study.log`` in the output folder.
        study_name: by default made from the graph and everything that matters to the search.
        tolerance: how much worse than the best the result may be in the first objective, as a share of
            the best value, for the sake of the second.
        write_pareto: write each trial of the front as a graph.toml too.

    Raises:
        MaseError: if an option is wrong, or no trial keeps to the constraints.
    """

    space: list[dict[str, Any]] | None = None
    base: Quantize = Quantize()
    objectives: list[str | Objective] | None = None
    constraints: list[str] | None = None
    sampler: str = "tpe"
    trials: int | None = None
    timeout: float | None = None
    split: Split = "val"
    batches: int | None = None
    task: str | None = None
    train_steps: int = 0
    train: TrainConfig = TrainConfig()
    measure: str = ""
    seed: int | None = None
    storage: str | None = None
    study_name: str | None = None
    tolerance: float = 0.01
    write_pareto: bool = False

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError.of(
                f"unknown sampler {self.sampler!r}", help=did_you_mean(self.sampler, SAMPLERS)
            )
        for name in ("trials", "timeout", "batches"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError.of(f"{name} is {value}", help="use a number above 0")
        for name in ("train_steps", "tolerance"):
            value = getattr(self, name)
            if value < 0:
                raise UsageError.of(f"{name} is {value}", help="use 0 for none, or a number above it")
        _ = self._rules, self._constraints  # so that mistakes show before anything runs

    @property
    def _rules(self) -> list[SpaceRule]:
        return [parse_space_rule(table) for table in (DEFAULT if self.space is None else self.space)]

    @property
    def _constraints(self) -> list[Constraint]:
        return [parse_constraint(text) for text in self.constraints or []]

    def run(self, graph: Graph, ctx: Context) -> None:
        """Search, and quantize ``graph`` in place."""
        _require_optuna()
        from mase.passes.workflow.searching.loop import quiet
        from mase.passes.workflow.searching.outcomes import outcomes_of, pick_best
        from mase.passes.workflow.searching.progress import progress
        from mase.passes.workflow.searching.results import Results

        job = self._job(graph, ctx)
        with quiet():
            shared = self._study(job, ctx)
        reference = job.reference(shared)
        with quiet(), progress(ctx.console, job.objectives, self.tolerance) as watch:
            job.loop(shared).run(self.timeout, watch)
        found = outcomes_of(shared.study)
        best = pick_best(found, job.objectives, self.tolerance)
        _warn_of_failed(shared, ctx)
        if best is None:
            raise _nothing(job, found, shared)
        for name in job.shown:
            ctx.record(name, "best trial", best.metrics[name])
        results = Results(job=job, outcomes=found, best=best, reference=reference)
        results.show(ctx.console)
        if ctx.output_dir is not None:
            results.write(ctx, FOLDER, write_pareto=self.write_pareto)
        job.formats.apply(graph, ctx, best.chosen)

    def _job(self, graph: Graph, ctx: Context) -> Job:
        from mase.passes.workflow.searching.job import Job
        from mase.passes.workflow.searching.measure import Bench, task_metrics
        from mase.passes.workflow.searching.trial_graph import Formats, space_of

        task, seed = self.task or ctx.task, self._seed(ctx)
        metrics = task_metrics(ctx, task)
        wanted = self.objectives or ["accuracy" if "accuracy" in metrics else "loss", "average_bits"]
        given = [Objective(each) if isinstance(each, str) else each for each in wanted]
        objectives, constraints = resolve(given, self._constraints, metrics, self.split)
        space, nodes = space_of(graph, ctx, self.base, self._rules, by_hand=self.space is None)
        return Job(
            graph=graph.copy(),
            space=space,
            formats=Formats(graph, ctx, self.base, nodes, space),
            bench=Bench(
                ctx=ctx,
                split=self.split,
                batches=self.batches,
                task=task,
                steps=self.train_steps,
                train=self.train if self.train.seed is not None else replace(self.train, seed=seed),
                measure=self.measure,
            ),
            objectives=objectives,
            constraints=constraints,
            base=self.base,
        )

    def _seed(self, ctx: Context) -> int:
        return ctx.seed if self.seed is None else self.seed

    def _study(self, job: Job, ctx: Context) -> SharedStudy:
        from mase.passes.workflow.searching.storage import claims_of, open_storage
        from mase.passes.workflow.searching.study import SharedStudy

        seed = self._seed(ctx)
        where = self.storage
        if where is None and ctx.output_dir is not None:
            where = str(ctx.output_dir / FOLDER / "study.log")
        exhaustive = self.sampler in EXHAUSTIVE
        size = job.space.size
        wished = self.trials or (size if exhaustive else TRIALS)
        shared = SharedStudy.open(
            open_storage(where),
            self.study_name or job.name(self.sampler, seed),
            [each.direction or "minimize" for each in job.objectives],
            job.facts(),
            sampler=self.sampler,
            seed=seed,
            choices=job.space.choices,
            total=min(wished, size) if exhaustive else wished,
            claims=claims_of(where),
        )
        if not exhaustive and self.sampler != "random" and not shared.finished():
            for chosen in job.space.uniform()[:UNIFORM]:  # what every user compares with
                shared.enqueue(chosen)
        return shared


def _require_optuna() -> None:
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise MaseError.of("search needs optuna", help="pip install 'mase[search]'")


def _warn_of_failed(shared: SharedStudy, ctx: Context) -> None:
    reasons = shared.reasons()
    if reasons:
        ctx.warn(f"{len(reasons)} trials have no result; the last: {reasons[-1]}")


def _nothing(job: Job, found: list[Outcome], shared: SharedStudy) -> MaseError:
    if not found:
        reasons = shared.reasons()
        return MaseError.of(
            f"no trial has a result{': ' + reasons[-1] if reasons else ''}",
            help="give it more time (timeout), or look at the options of train",
        )
    bounds = "; ".join(
        f"{each}, nearest {min((o.metrics[each.name] for o in found), key=each.violation):.4g}"
        for each in job.constraints
    )
    return MaseError.of(
        f"none of {len(found)} trials keeps to the constraints: {bounds}",
        help="run it again with more trials, which goes on with the same study, or loosen them",
    )
