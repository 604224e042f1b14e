"""GPT-2's linear layers, which transformers keeps the other way round."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["with_linear_layers"]


def with_linear_layers(model: nn.Module) -> nn.Module:
    """Replace each ``Conv1D`` of transformers, whose weight is (inputs, outputs), by a `Linear`.

    The two compute the same, but only a linear layer has a quantized op, an export and a scale for each
    output. Keys stay; the weights of these layers are transposed, and share their memory.

    Args:
        model: a model of transformers, changed in place.

    Returns:
        The same model.

    Example:
        >>> import torch
        >>> from transformers.pytorch_utils import Conv1D
        >>> layer = nn.Sequential(Conv1D(3, 2))
        >>> x = torch.randn(5, 2)
        >>> expected = layer(x)
        >>> with_linear_layers(layer)[0].weight.shape, torch.allclose(layer(x), expected)
        (torch.Size([3, 2]), True)
    """
    from transformers.pytorch_utils import Conv1D

    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is Conv1D:
                setattr(parent, name, _linear(layer))
    return model


def _linear(layer: Any) -> nn.Linear:
    inputs, outputs = layer.weight.shape
    made = nn.Linear(inputs, outputs, device="meta")
    made.weight = nn.Parameter(layer.weight.detach().t(), requires_grad=layer.weight.requires_grad)
    made.bias = layer.bias
    return made.train(layer.training)
