"""Which of Lightning's strategies can be meant, and why some of them are not for mase."""

from __future__ import annotations

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["STRATEGIES", "check_strategy"]

_LAUNCHED = (
    *("ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"),
    *("fsdp", "fsdp_cpu_offload", "single_device", "single_tpu", "single_xla", "xla", "xla_debug"),
)
_COPIED = tuple(
    f"ddp_{how}{parameters}"
    for how in ("spawn", "fork", "notebook")
    for parameters in ("", "_find_unused_parameters_false", "_find_unused_parameters_true")
)
_IN_FOLDERS = (
    *("deepspeed", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_2_offload"),
    *("deepspeed_stage_3", "deepspeed_stage_3_offload", "deepspeed_stage_3_offload_nvme"),
)

STRATEGIES = ("auto", *_LAUNCHED)
"""The strategies that mase trains with, by Lightning's names for them."""


def check_strategy(name: str) -> None:
    """Refuses a strategy that does not exist or that mase cannot keep its promises with.

    Args:
        name: what the user wrote.

    Raises:
        MaseError: with the reason, and what to use instead.

    Example:
        >>> check_strategy("dpd")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.MaseError: error: unknown strategy 'dpd'
          help: did you mean 'ddp'?
    """
    if name in STRATEGIES:
        return
    if name in _COPIED:
        raise MaseError.of(
            f"strategy {name!r} copies this process in the middle of the run, and the trained weights and "
            "measurements stay in the copies",
            help='use "ddp", which starts the command once for each device',
        )
    if name in _IN_FOLDERS:
        raise MaseError.of(
            f"strategy {name!r} writes each checkpoint as a folder of parts, and mase can neither keep the "
            "best of those nor read the weights back into the graph",
            help='use "ddp"',
        )
    raise MaseError.of(f"unknown strategy {name!r}", help=did_you_mean(name, STRATEGIES))
