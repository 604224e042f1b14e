"""What holds in the end: the command line before the configuration before the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mase.cli.ch.config import Config
from mase.cli.ch.settings import SETTINGS, TASKS, Setting
from mase.ir.diagnostics import UsageError
from mase.passes.grammar import print_value

__all__ = ["Effective", "Said"]


@dataclass(frozen=True)
class Said:
    """What was said of one setting; None where nothing was.

    Args:
        setting: which.
        config: by the configuration.
        command: by the command line.
    """

    setting: Setting
    config: Any = None
    command: Any = None

    @property
    def value(self) -> Any:
        """The stronger of the two; None if only the default is left.

        Example:
            >>> Said(SETTINGS["seed"], config=3, command=0).value
            0
        """
        return self.config if self.command is None else self.command


class Effective:
    """Every setting of a run.

    Args:
        given: what the command line says.
        config: what the configuration says.

    Raises:
        UsageError: if two of them contradict each other.

    Example:
        >>> settings = Effective({"seed": 0}, Config({"seed": 3, "max_epochs": 5}))
        >>> settings["seed"], settings["max_epochs"], settings["project_dir"], settings["load"]
        (0, 5, 'mase_output', None)
        >>> next(row for row in settings.table({"train"}) if row[0] == "seed")
        ['seed', '0', '3', '0', '0']
    """

    def __init__(self, given: Mapping[str, Any], config: Config) -> None:
        self.config = config
        tables = {"model": config.model.get("source"), "dataset": config.data.get("source")}
        self.said = {
            name: Said(setting, config.settings.get(name, tables.get(name)), given.get(name))
            for name, setting in SETTINGS.items()
        }
        task = self.said["task"]
        self.said["task"] = Said(task.setting, task.config, TASKS.get(task.command, task.command))
        self._choose_devices()

    def __getitem__(self, name: str) -> Any:
        """What holds, the default included."""
        said = self.said[name].value
        return SETTINGS[name].default_value() if said is None else said

    def _choose_devices(self) -> None:
        """A number of GPUs says the accelerator, too."""
        gpu, accelerator = self.said["gpu"], self.said["accelerator"]
        if gpu.value and self.said["devices"].value is not None:
            raise UsageError.of("gpu and devices say the same", help="keep one")
        if gpu.value is None:
            return
        wanted = "gpu" if gpu.value else "cpu"
        if accelerator.value not in (None, "auto", wanted, "cuda" if gpu.value else "cpu"):
            raise UsageError.of(
                f"gpu = {gpu.value} and accelerator = {accelerator.value!r} contradict each other",
                help=f"leave one of them out, or choose {wanted!r}",
            )
        if accelerator.value in (None, "auto"):
            self.said["accelerator"] = Said(accelerator.setting, accelerator.config, wanted)
        if not gpu.value:
            self.said["gpu"] = Said(gpu.setting)  # no GPU leaves the number of devices open

    def idle(self, passes: set[str]) -> list[str]:
        """The options of the command line that have no effect on a run of these passes."""
        return [
            said.setting.flag
            for said in self.said.values()
            if said.command is not None and not said.setting.concerns(passes)
        ]

    def table(self, passes: set[str], own: Mapping[str, Any] | None = None) -> Iterator[list[str]]:
        """Rows of name, default, configuration, command line and what holds, for a run of these passes.

        Args:
            passes: their names.
            own: the task's own defaults, by the names that the options of ``train`` have.
        """
        for name, said in self.said.items():
            if said.setting.concerns(passes):
                default = said.setting.default_value()
                if default is None:
                    default = (own or {}).get(said.setting.option)
                effective = default if said.value is None else said.value
                yield [name, *map(_text, (default, said.config, said.command, effective))]
        taken = {home for setting in SETTINGS.values() for home in setting.homes}
        for owner, options in self.config.passes.items():
            for key, value in options.items() if owner in passes else ():
                if f"passes.{owner}.{key}" not in taken:
                    yield [f"{owner}.{key}", "-", _text(value), "-", _text(value)]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else print_value(value)
