"""Everything that a user of ``ch`` can set, each once: name, type, meaning, and its place in the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mase.passes.registry import get_pass

__all__ = ["ACTIONS", "SETTINGS", "TASKS", "Action", "LoadType", "Setting"]

Action = Literal["train", "test", "eval", "transform", "search"]
ACTIONS: tuple[str, ...] = get_args(Action)

LoadType = Literal["pl", "pt", "mz", "hf"]

TASKS: Mapping[str, str] = {"cls": "classification", "lm": "causal-lm", "tran": "translation"}
"""The full names of tasks by their short ones."""


@dataclass(frozen=True)
class Setting:
    """One setting: an option of the command line and a key of the configuration.

    Args:
        name: the key; the option is the same with dashes.
        type: of its value, as TOML and the options of passes know it.
        metavar: what stands for the value in the help.
        doc: what it means.
        homes: the places in the recipe that it fills, ``passes.train.learning_rate``; none if it is for
            ``ch`` itself.
        choices: all values, if there are few.
        default: the value if nobody says; that of the first home's pass if None.
        group: the heading under which ``--help`` shows it; empty for the model and the data set, which have
            no option.
    """

    name: str
    type: Any
    metavar: str
    doc: str
    homes: tuple[str, ...] = ()
    choices: tuple[str, ...] | None = None
    default: Any = None
    group: str = ""

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return f"--{self.name.replace('_', '-')}" if self.group else self.name

    @property
    def option(self) -> str:
        """What the first place that it fills calls it; empty if there is none.

        Example:
            >>> SETTINGS["training_optimizer"].option
            'optimizer'
        """
        return self.homes[0].rpartition(".")[2] if self.homes else ""

    @property
    def _pass_homes(self) -> list[str]:
        return [home for home in self.homes if home.startswith("passes.")]

    def concerns(self, passes: set[str]) -> bool:
        """Whether it has an effect on a run of these passes.

        Args:
            passes: their names; ``search.train`` where a search trains.

        Example:
            >>> SETTINGS["learning_rate"].concerns({"eval"}), SETTINGS["seed"].concerns({"eval"})
            (False, True)
        """
        owners = [home.removeprefix("passes.").rpartition(".")[0] for home in self._pass_homes]
        kept = any(home.startswith("hardware.") for home in self.homes)
        return kept or not owners or not passes.isdisjoint(owners)

    def default_value(self) -> Any:
        """The value if nobody says; None if that depends on the model or the data.

        Example:
            >>> SETTINGS["max_epochs"].default_value()
            10
        """
        if not self.homes or not self.homes[0].startswith("passes."):
            return self.default
        _, owner, option = self.homes[0].split(".")
        return get_pass(owner).options[option].default


def _train(option: str) -> tuple[str, ...]:
    return (f"passes.train.{option}", f"passes.search.train.{option}")


def _both(option: str) -> tuple[str, ...]:
    return (*_train(option), f"passes.eval.{option}")


_TASK = ("passes.train.task", "passes.search.task", "passes.eval.task")


_LOAD_TYPE = (
    "pl: Lightning checkpoint, pt: state dict, mz: graph.toml or its folder, hf: save_pretrained folder; "
    "by default what the name of the file says"
)
_DEBUG = "run one batch of each split and keep no checkpoint; show all that is said, timings and statistics"
_LEVELS = ("debug", "info", "warning", "error", "critical")
_LOGS = ("tensorboard", "wandb", "none")

_GROUPS = {
    "": [
        Setting("model", str, "", "a registered model, or file.py:callable", ("model.source",)),
        Setting("dataset", str, "", "a registered data set", ("data.source",)),
    ],
    "general": [
        Setting("task", str, "TASK", "what is learned; by default what the data set says", _TASK),
        Setting("load", str, "PATH", "start from this checkpoint or graph"),
        Setting("load_type", str, "TYPE", _LOAD_TYPE, choices=get_args(LoadType)),
        Setting("load_plugin", list[str], "FILE", "run a file that registers models, data sets, passes, ..."),
        Setting(
            "batch_size", int, "NUM", "samples in a batch; by default the data set's", ("data.batch_size",)
        ),
        Setting("debug", bool, "", _DEBUG, default=False),
        Setting("log_level", str, "LEVEL", "how bad a message must be to be shown", (), _LEVELS, "info"),
        Setting("seed", int, "NUM", "seeds everything random", default=0),
    ],
    "training": [
        Setting("training_optimizer", str, "TYPE", "a name from torch.optim", _train("optimizer")),
        Setting("trainer_precision", str, "TYPE", "arithmetic, such as bf16-mixed", _both("precision")),
        Setting("learning_rate", float, "NUM", "peak learning rate", _train("learning_rate")),
        Setting("weight_decay", float, "NUM", "as the optimizer defines it", _train("weight_decay")),
        Setting("max_epochs", int, "NUM", "passes over the training samples", _train("max_epochs")),
        Setting("max_steps", int, "NUM", "optimizer steps; -1 for no limit", _train("max_steps")),
        Setting(
            *("accumulate_grad_batches", int, "NUM", "batches whose gradients make one step"),
            homes=_train("accumulate_grad_batches"),
        ),
        Setting(
            "log_every_n_steps", int, "NUM", "steps between two logged rows", _train("log_every_n_steps")
        ),
        Setting(
            "report_to", str, "LOG", "where logs go beside the CSV file", ("passes.train.report_to",), _LOGS
        ),
    ],
    "machine": [
        Setting("cpu", int, "NUM", "processes that load data; 0 for the main one", ("data.num_workers",)),
        Setting("gpu", int, "NUM", "GPUs to use; 0 for none", _both("devices")),
        Setting("devices", int, "NUM", "devices to use, such as processes on a cpu", _both("devices")),
        Setting("nodes", int, "NUM", "machines that train together", _both("num_nodes")),
        Setting("accelerator", str, "TYPE", "auto, cpu, gpu or another of Lightning's", _both("accelerator")),
        Setting(
            *("strategy", str, "TYPE", "auto, ddp, fsdp, deepspeed or another of Lightning's"),
            homes=_both("strategy"),
        ),
        Setting(
            "auto_requeue",
            bool,
            "",
            "in a SLURM job: submit it again at its end",
            ("passes.train.auto_requeue",),
        ),
        Setting("github_ci", bool, "", "as a CI job: no colours, progress bars or simulation", default=False),
    ],
    "hardware (kept in [hardware] of the result)": [
        Setting(
            *("target", str, "STR", "the FPGA that the pass export writes hardware for"),
            homes=("hardware.target", "passes.export.hls.part"),
        ),
        Setting("num_targets", int, "NUM", "how many of them", ("hardware.num_targets",)),
    ],
    "pretrained models": [
        Setting("pretrained", bool, "", "start from trained weights", ("model.pretrained",), default=False),
        Setting("max_token_len", int, "NUM", "longest text, in tokens", ("data.max_token_len",)),
    ],
    "output": [
        Setting("project_dir", str, "DIR", "the folder of all projects", default="mase_output"),
        Setting("project", str, "NAME", "the project's folder in it; by default MODEL_TASK_DATASET_DATE"),
    ],
}

SETTINGS: Mapping[str, Setting] = {
    setting.name: replace(setting, group=group) for group, settings in _GROUPS.items() for setting in settings
}
"""Every setting by name."""
