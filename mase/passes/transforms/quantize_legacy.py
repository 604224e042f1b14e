"""The older, keyed style of ``[passes.quantize]``, translated into options of `quantize`.

It chooses nodes ``by`` type, name or regex_name, and has a table for each choice:

    [passes.quantize]
    by = "type"
    [passes.quantize.default.config]
    name = "NA"
    [passes.quantize.linear.config]
    name = "integer"
    data_in_width = 8
    data_in_frac_width = 4
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from mase.ir.diagnostics import Diagnostic, Location, MaseError, did_you_mean
from mase.ir.keyed import formats_by_role
from mase.ir.ops.quantized import quantizable_ops
from mase.passes.transforms.quantize_rules import known_roles

__all__ = ["is_legacy", "translate"]

At = Callable[..., "Location | None"]

_SELECTORS = {"type": "op", "name": "node", "regex_name": "regex"}
_FLOAT = ("NA", "none", "None")
"""Names of an arithmetic that say to leave everything in float."""
_IGNORED = ("report",)
"""What older versions printed beside; the summary of a run always shows it now."""

_TYPES = {
    "bmm": "matmul",
    "layernorm": "layer_norm",
    "groupnorm": "group_norm",
    "batch_norm1d": "batch_norm",
    "batch_norm2d": "batch_norm",
}
"""Op types by names that they no longer have."""


def is_legacy(options: Mapping[str, Any]) -> bool:
    """Whether options of `quantize` are in the older style.

    Example:
        >>> is_legacy({"by": "type"}), is_legacy({"default": {"weight": "fixed<8>"}})
        (True, False)
    """
    return "by" in options or any(
        isinstance(value, Mapping) and "config" in value for value in options.values()
    )


def translate(options: Mapping[str, Any], at: At = lambda *path: None) -> dict[str, Any]:
    """The options that `quantize` takes.

    Args:
        options: the table in the older style.
        at: where one of its keys stands, for messages.

    Raises:
        MaseError: telling everything that is wrong with it.

    Example:
        >>> keys = {"name": "integer", "weight_width": 8, "weight_frac_width": 4}
        >>> table = {"by": "type", "default": {"config": {"name": "NA"}}, "linear": {"config": keys}}
        >>> translate(table)
        {'default': {}, 'rules': [{'op': 'linear', 'weight': 'fixed<8,4>'}]}
    """
    return _Translation(options, at).result()


class _Translation:
    def __init__(self, options: Mapping[str, Any], at: At) -> None:
        self._options, self._at = options, at
        self._faults: list[Diagnostic] = []

    def result(self) -> dict[str, Any]:
        by = self._options.get("by", "type")
        if by not in _SELECTORS:
            self._fault(f"by: unknown choice {by!r}", "by", help=did_you_mean(str(by), _SELECTORS))
            by = "type"
        default: dict[str, str] = {}
        rules: list[dict[str, Any]] = []
        for key, table in self._options.items():
            if key == "by" or key in _IGNORED:
                continue
            formats = self._formats(key, table)
            if key == "default":
                default = {role: text for role, text in formats.items() if text != "f32"}
            else:
                rules.append({**self._selector(by, key), **(formats or {"skip": True})})
        if by == "regex_name":
            rules.reverse()  # there the first that matched decided, here the last
        if self._faults:
            raise MaseError(self._faults)
        return {"default": default, "rules": rules}

    def _selector(self, by: str, key: str) -> dict[str, str]:
        if by == "name" and "." in key:
            return {"scope": key}  # the path of a module rather than the name of a node
        if by == "type":
            key = _TYPES.get(key, key)
            known = {op.name.partition(".")[2] for op in quantizable_ops()}
            if key not in known:
                self._fault(f"no op type {key!r} can be quantized", key, help=did_you_mean(key, known))
        return {_SELECTORS[by]: key}

    def _formats(self, key: str, table: Any) -> dict[str, str]:
        """Formats by role as texts; none if the arithmetic is float."""
        config = cast(Mapping[str, Any], table).get("config") if isinstance(table, Mapping) else None
        if not isinstance(config, Mapping):
            self._fault(f"expected a table [{key}.config]", key)
            return {}
        keys = dict(cast(Mapping[str, Any], config))
        if keys.get("name") in _FLOAT:
            return {}
        try:
            found = formats_by_role(keys, known_roles())
        except MaseError as error:
            for d in error.diagnostics:
                self._fault(f"{key}: {d.message}", key, "config", help=d.help)
            return {}
        return {role: str(format or "f32") for role, format in found.items()}

    def _fault(self, message: str, *path: str, help: str | None = None) -> None:
        self._faults.append(Diagnostic(f"[passes.quantize] {message}", at=self._at(*path), help=help))
