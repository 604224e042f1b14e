"""The tree of modules of a lowered graph: tensors at their keys, modules at their scopes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn

from mase.ir import MaseError, Node, State
from mase.ir.state import Entry

__all__ = ["Borrower", "ModuleTree", "keys_of", "register", "tensors_of"]


class Borrower(nn.Module):
    """Runs a module on parameters that live elsewhere in the tree, given by role as keyword arguments.

    Args:
        unit: the module; its own parameters are absent.
    """

    def __init__(self, unit: nn.Module) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, *operands: Tensor, **roles: Tensor) -> Tensor:
        return torch.func.functional_call(self.unit, roles, operands)


class ModuleTree:
    """Holds copies of a state's tensors under their keys, and the modules that `place` puts in.

    Args:
        state: the weights; later changes to either side do not reach the other.
        nodes: every node of the graph, which decides where modules without parameters may live.
    """

    def __init__(self, state: State, nodes: list[Node]) -> None:
        self.root = fx.GraphModule(nn.Module(), fx.Graph())
        self._state = state
        self._tenants: dict[str, tuple[object, ...]] = {}
        self._count = Counter[str]()
        self._inner = _prefixes([n.scope for n in nodes] + keys_of(state), nodes)
        self._add_tensors()

    def _add_tensors(self) -> None:
        made: dict[str, Tensor] = {}
        for key in keys_of(self._state):
            owner = self._state.resolve(key)
            entry = self._state.entry(key)
            if owner not in made:
                made[owner] = _owned(self._state[owner], entry)
            path, _, name = key.rpartition(".")
            register(self._container(path, key), name, made[owner], entry)

    def _container(self, path: str, what: str) -> nn.Module:
        module: Any = self.root
        for part in path.split(".") if path else ():
            if module._modules.get(part) is None:
                if module is self.root and hasattr(fx.GraphModule, part):
                    raise MaseError.of(f"{what!r}: torch.fx keeps the name {part!r} for itself")
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        return module

    # -- where a module lives ---------------------------------------------------------------

    def place(self, node: Node, module: nn.Module) -> tuple[str, bool]:
        """Put the module of ``node`` into the tree.

        Returns:
            Its path, and whether it borrows its parameters, which the caller then has to pass.
        """
        params = {role: self._state.resolve(key) for role, key in node.params.items()}
        tenant = (node.op, params, getattr(module, "wide", None))
        for path in self._homes(node):
            if self._tenants.setdefault(path, tenant) == tenant:
                if not isinstance(self._at(path), type(module)):
                    self._move_in(path, module, set(node.params))
                return path, False
        path = self._unique(node)
        _drop_absent(module, set())
        self._put(path, Borrower(module) if params else module)
        return path, bool(params)

    def _homes(self, node: Node) -> list[str]:
        if not node.params:
            return [node.scope] if node.scope and node.scope not in self._inner else []
        shared = {k.removesuffix(f".{role}") for role, k in node.params.items()}
        return [p for p in dict.fromkeys([node.scope, *shared]) if p and self._owns(p, node)]

    def _owns(self, path: str, node: Node) -> bool:
        """Whether the node's keys are those that a module at ``path`` has."""
        keys = {f"{path}.{role}": key for role, key in node.params.items()}
        return all(
            k in self._state and self._state.resolve(k) == self._state.resolve(v) for k, v in keys.items()
        )

    def _unique(self, node: Node) -> str:
        dot = "." if node.scope else ""
        stem = f"{node.scope}{dot}mase_{node.op.name.rpartition('.')[2]}"
        self._count[stem] += 1
        return f"{stem}_{self._count[stem] - 1}"

    # -- the tree ---------------------------------------------------------------------------

    def _at(self, path: str) -> nn.Module | None:
        try:
            return self.root.get_submodule(path)
        except AttributeError:
            return None

    def _put(self, path: str, module: nn.Module) -> None:
        parent, _, name = path.rpartition(".")
        self._container(parent, path).add_module(name, module)

    def _move_in(self, path: str, module: nn.Module, roles: set[str]) -> None:
        """Replace the container at ``path``, taking over what it holds."""
        _drop_absent(module, roles)
        old = self._at(path)
        if old is not None:
            _take_over(module, old)
        self._put(path, module)


def _prefixes(paths: list[str], nodes: list[Node]) -> set[str]:
    """The paths that are more than one unit: they have something below or hold unlike ops."""
    parts = [p.split(".") for p in paths]
    inner = {".".join(p[:i]) for p in parts for i in range(1, len(p))}
    ops: dict[str, object] = {}
    return inner | {n.scope for n in nodes if ops.setdefault(n.scope, n.op) != n.op}


def _owned(tensor: Tensor, entry: Entry) -> Tensor:
    copy = tensor.detach().clone()
    if entry.kind not in ("parameter", "frozen"):
        return copy
    trainable = entry.kind == "parameter" and (copy.is_floating_point() or copy.is_complex())
    return nn.Parameter(copy, requires_grad=trainable)


def register(module: nn.Module, name: str, tensor: Tensor, entry: Entry) -> None:
    """Make a tensor a parameter or buffer of a module, as the kind of its entry says."""
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor, persistent=entry.kind == "buffer")


def _drop_absent(module: nn.Module, roles: set[str]) -> None:
    """Set to None the parameters and buffers, still without values, that the node does not have."""
    for key, tensor in tensors_of(module).items():
        if key not in roles and tensor.is_meta:
            path, _, name = key.rpartition(".")
            setattr(module.get_submodule(path), name, None)


def _take_over(module: Any, old: Any) -> None:
    """Put the tensors and children of ``old`` where ``module`` has its own, or none."""
    for name, parameter in old._parameters.items():
        module._buffers.pop(name, None)
        module._parameters[name] = parameter
    for name, buffer in old._buffers.items():
        module._parameters.pop(name, None)
        module._buffers[name] = buffer
    module._non_persistent_buffers_set |= old._non_persistent_buffers_set
    for name, child in old.named_children():
        mine = module._modules.get(name)
        if mine is not None and type(child) is nn.Module:
            _take_over(mine, child)
        else:
            module.add_module(name, child)


def keys_of(state: State) -> list[str]:
    """Every key of a state, names of shared tensors included."""
    return [*state, *state.aliases]


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer of a module by its qualified name, shared ones under each name."""
    parameters = module.named_parameters(remove_duplicate=False)
    return dict((*parameters, *module.named_buffers(remove_duplicate=False)))
