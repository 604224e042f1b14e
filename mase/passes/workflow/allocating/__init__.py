"""The parts of ``allocate``: layers, their sensitivities and prices, the knapsack, and the results."""

__all__: list[str] = []
