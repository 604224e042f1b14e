"""Strategies of Lightning that another class stands in for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pytorch_lightning.strategies import Strategy, StrategyRegistry


@contextmanager
def standing_in(name: str, strategy: type[Strategy]) -> Generator[None]:
    """Let a class of a test be what a name means (monkeypatch cannot: the registry's `get` makes objects)."""
    entry = StrategyRegistry[name]
    StrategyRegistry[name] = {**entry, "strategy": strategy}
    try:
        yield
    finally:
        StrategyRegistry[name] = entry
