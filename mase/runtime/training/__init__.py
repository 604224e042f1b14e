"""The parts that `mase.runtime.trainer` puts together: configuration, optimizers, checkpoints, sessions."""

__all__: list[str] = []
