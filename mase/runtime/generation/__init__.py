"""Decoding: sequences out of a lowered graph, by the search strategies of transformers."""

from __future__ import annotations

from mase.runtime.generation.decoder import Decoder
from mase.runtime.generation.options import generation_config
from mase.runtime.generation.split import Halves, split_at

__all__ = ["Decoder", "Halves", "generation_config", "split_at"]
