"""The parts of ``search``: its space, objectives, samplers, study, loop and results."""

__all__: list[str] = []
