"""Which modules stay whole: those that an op expresses, those that must, and those that the user names."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import nn

from mase.frontends.internals import own_buffers, own_parameters, submodules
from mase.frontends.rules import from_module
from mase.frontends.rules.drop_path import drop_path
from mase.ir.diagnostics import MaseError, did_you_mean
from mase.ir.op import Op

__all__ = ["Leaf", "bind_operands", "find_leaves", "role_keys"]

# Their forward only arranges calls that capture understands one by one.
_COMPOSITE = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_FOLLOWS_MODE = frozenset(
    {"dropout", "dropout1d", "dropout2d", "dropout3d", "scaled_dot_product_attention", "batch_norm"}
)


@dataclass(frozen=True)
class Leaf:
    """A module that the trace does not enter.

    Args:
        module: the module.
        op: the op that computes the same, or None if the module stays opaque.
    """

    module: nn.Module
    op: Op | None


def find_leaves(model: nn.Module, opaque: Collection[str] = ()) -> dict[str, Leaf]:
    """The outermost leaves of ``model`` by path.

    A module reachable under two paths keeps the first.

    Args:
        model: the model.
        opaque: paths of modules to keep whole.

    Raises:
        MaseError: if the model has no module at such a path.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.AlphaDropout()), nn.PReLU())
        >>> {path: leaf.op for path, leaf in find_leaves(model).items()}
        {'0': Linear(), '1.0': Relu(), '1.1': None}
    """
    paths = {path for path, _ in submodules(model, every_name=True)} - {""}
    for name in set(opaque) - paths:
        raise MaseError.of(f"opaque: the model has no module {name!r}", help=did_you_mean(name, paths))
    leaves: dict[str, Leaf] = {}
    for path, module in submodules(model):
        if not path or _is_inside(path, leaves):
            continue
        op = None if path in opaque else module_op(module)
        if op is not None or path in opaque or _must_stay_whole(module):
            leaves[path] = Leaf(module, op)
    return leaves


def _is_inside(path: str, leaves: Collection[str]) -> bool:
    """Whether a module lies below one of the leaves."""
    while path := path.rpartition(".")[0]:
        if path in leaves:
            return True
    return False


def module_op(module: nn.Module) -> Op | None:
    """The op that computes what ``module`` does, if there is one and nothing else happens in a call."""
    op = from_module(module)
    if op is None and _must_stay_whole(module):
        op = drop_path(module)
    if op is None or _is_instrumented(module):
        return None
    roles = op.schema().roles
    present = own_parameters(module).keys() | own_buffers(module).keys()
    return op if all(role in present for role, required in roles.items() if required) else None


def _is_instrumented(module: nn.Module) -> bool:
    """Whether hooks or a forward of the instance's own add something to the class's forward."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return "forward" in module.__dict__ or any(getattr(module, name) for name in hooks)


def _must_stay_whole(module: nn.Module) -> bool:
    """Whether a module without submodules computes by another path in training."""
    if isinstance(module, _COMPOSITE) or any(True for _ in module.children()):
        return False
    if isinstance(module, _INSTANCE_NORMS) and not module.track_running_stats:
        return False
    return _branches_on_training(type(module))


@cache
def _branches_on_training(cls: type[nn.Module]) -> bool:
    """Whether a class reads ``self.training`` for more than to hand it to calls of dropout and the like."""
    methods: dict[str, Any] = {}
    for base in cls.__mro__[: cls.__mro__.index(nn.Module)]:
        methods = vars(base) | methods
    return any(_function_branches(m) for m in methods.values() if inspect.isfunction(m))


def _function_branches(function: Any) -> bool:
    if "training" not in function.__code__.co_names:
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return True
    harmless = {id(part) for call in ast.walk(tree) for part in _within_units(call)}
    return any(_reads_training(node) and id(node) not in harmless for node in ast.walk(tree))


def _reads_training(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "training" and ast.unparse(node.value) == "self"


def _within_units(node: ast.AST) -> Iterator[ast.AST]:
    """What the arguments of a call consist of that becomes an op with a mode of its own."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _FOLLOWS_MODE:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from ast.walk(argument)


def bind_operands(leaf: Leaf, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
    """The values of a call as data operands of the leaf's op.

    Returns:
        None if the call says more than the op's operands can (a setting that is not a default).
    """
    if leaf.op is None:
        return None
    signature = inspect.signature(type(leaf.module).forward)
    try:
        bound = signature.bind(leaf.module, *args, **kwargs)
    except TypeError:
        return None
    parameters = signature.parameters
    values: list[Any] = []
    for name, value in list(bound.arguments.items())[1:]:
        if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL or isinstance(value, tuple):
            values += value  # the first state and cell of an LSTM come as a pair
        elif value is not parameters[name].default and value is not None:
            values.append(value)
    schema = leaf.op.schema()
    enough = len(schema.required) <= len(values) <= len(schema.operands)
    return values if enough or schema.variadic else None


def role_keys(path: str, module: nn.Module, op: Op) -> dict[str, str]:
    """The state key of each role of the op that the module has a tensor for."""
    present = [*own_parameters(module), *own_buffers(module)]
    schema = op.schema()
    roles = [r for r in schema.roles if r in present] + [r for r in present if r not in schema.roles]
    return {role: f"{path}.{role}" for role in roles if role in schema.roles or schema.any_role}
