"""Which of Lightning's strategies can be meant, and why some of them are not for mase."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from mase.ir.diagnostics import MaseError, did_you_mean

if TYPE_CHECKING:
    from pytorch_lightning.strategies import Strategy

__all__ = [
    "STRATEGIES",
    "check_strategy",
    "is_deepspeed",
    "make_strategy",
    "shards_model",
    "splits_parameters",
]

_LAUNCHED = (
    *("ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"),
    *("fsdp", "fsdp_cpu_offload", "single_device", "single_tpu", "single_xla", "xla", "xla_debug"),
    *("deepspeed", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_2_offload"),
    *("deepspeed_stage_3", "deepspeed_stage_3_offload", "deepspeed_stage_3_offload_nvme"),
)
_COPIED = tuple(
    f"ddp_{how}{parameters}"
    for how in ("spawn", "fork", "notebook")
    for parameters in ("", "_find_unused_parameters_false", "_find_unused_parameters_true")
)

_PLAIN = ("config", "bucket_cap_mb", "cpu_offload", "process_group_backend")
"""Arguments that take plain values though their default is none."""

STRATEGIES = ("auto", *_LAUNCHED)
"""The strategies that mase trains with, by Lightning's names for them."""


def check_strategy(name: str, options: Mapping[str, Any] | None = None) -> None:
    """Refuses a strategy that does not exist, is not installed, or that mase cannot keep its promises with.

    Args:
        name: what the user wrote.
        options: arguments of the strategy.

    Raises:
        MaseError: with the reason, and what to use instead.

    Example:
        >>> check_strategy("dpd")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown strategy 'dpd'
          help: did you mean 'ddp'?
    """
    if name in _COPIED:
        raise MaseError.of(
            f"strategy {name!r} copies this process in the middle of the run, and the trained weights and "
            "measurements stay in the copies",
            help='use "ddp", which starts the command once for each device',
        )
    if name not in STRATEGIES:
        raise MaseError.of(f"unknown strategy {name!r}", help=did_you_mean(name, STRATEGIES))
    if is_deepspeed(name) and find_spec("deepspeed") is None:
        raise MaseError.of(
            f"strategy {name!r} needs the package deepspeed, which is not installed",
            help='pip install deepspeed, on a machine with CUDA, or use "fsdp"',
        )
    if options and name == "auto":
        raise MaseError.of(
            'strategy_options without a strategy: "auto" takes none', help='name one, such as "ddp"'
        )


def is_deepspeed(name: str) -> bool:
    """Whether it is one of deepspeed's, which have their own way with gradients and checkpoints."""
    return name.startswith("deepspeed")


def splits_parameters(name: str) -> bool:
    """Whether a process may be left with a part of every parameter, or with other numbers in them."""
    return name.startswith(("fsdp", "deepspeed"))


def shards_model(name: str) -> bool:
    """Whether the model runs only where all processes run it together, each with its part of the weights."""
    return name.startswith(("fsdp", "deepspeed_stage_3"))


def make_strategy(name: str, options: Mapping[str, Any] | None) -> Strategy | str:
    """What Lightning's trainer takes.

    Args:
        name: one of `STRATEGIES`.
        options: further arguments of its class, such as ``{state_dict_type = "sharded"}`` of ``fsdp``.

    Raises:
        MaseError: if the strategy takes no such argument.

    Example:
        >>> make_strategy("auto", None)
        'auto'
        >>> make_strategy("ddp", {"bucket_cap_mb": 1})._ddp_kwargs
        {'bucket_cap_mb': 1}
    """
    if name == "auto":
        return name
    from pytorch_lightning.strategies import StrategyRegistry

    entry: Any = cast(Any, StrategyRegistry)[name]
    made: Any = entry["strategy"]
    options = dict(options or {})
    known = _arguments(made) if options else []
    for option in options:
        if option not in known:
            raise MaseError.of(
                f"strategy {name!r} takes no option {option!r}", help=did_you_mean(option, known)
            )
    return made(**{**entry["init_params"], **options})


def _arguments(strategy: type) -> list[str]:
    """What plain values can say to a strategy, and through it to what it wraps the model in."""
    taking: list[type] = [strategy, *_wrappers(strategy)]
    found = [parameter for each in taking for parameter in inspect.signature(each).parameters.values()]
    plain = [p.name for p in found if isinstance(p.default, bool | int | float | str) or p.name in _PLAIN]
    return list(dict.fromkeys(plain))


def _wrappers(strategy: type) -> list[type]:
    from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.nn.parallel import DistributedDataParallel

    by_strategy = {FSDPStrategy: FullyShardedDataParallel, DDPStrategy: DistributedDataParallel}
    return [wrapper for base, wrapper in by_strategy.items() if issubclass(strategy, base)]
