"""Symbolic dimensions: integers, symbols and expressions of symbols, in a normal form.

An expression is a polynomial with integer coefficients over *atoms*; an atom is a symbol or an
opaque call (``floordiv``, ``mod``, ``max``, ``min``) of such polynomials. Equal polynomials are
equal objects, so ``2*(N + 1) == 2*N + 2`` holds and every expression has one text.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

__all__ = ["Dim", "Expr", "dim", "dim_max", "parse_dim", "size_of", "symbol"]


@dataclass(frozen=True)
class _Call:
    """An operation that a polynomial cannot express, over normalised operands."""

    name: str
    args: tuple[Dim, ...]

    def __str__(self) -> str:
        a = [str(x) for x in self.args]
        if self.name in ("max", "min"):
            return f"{self.name}({', '.join(a)})"
        left, right = (f"({t})" if _needs_parens(x) else t for x, t in zip(self.args, a, strict=True))
        return f"({left} {'//' if self.name == 'floordiv' else '%'} {right})"


def _needs_parens(value: Dim) -> bool:
    return isinstance(value, Expr) and not str(value).isidentifier()


_Atom = str | _Call
_Monomial = tuple[_Atom, ...]  # sorted, with repetition: N*N is ("N", "N")


def _key(monomial: _Monomial) -> tuple[int, list[str]]:
    return -len(monomial), [str(a) for a in monomial]


@dataclass(frozen=True, eq=True)
class Expr:
    """A dimension that is not a plain integer; build with `symbol`, `parse_dim` and arithmetic.

    Example:
        >>> n = symbol("N")
        >>> str(2 * (n + 1)), str((n + 3) // 2)
        ('2*N + 2', '((N + 3) // 2)')
        >>> n + 1 - n
        1
    """

    terms: tuple[tuple[_Monomial, int], ...]

    @cached_property
    def _text(self) -> str:
        parts: list[str] = []
        for monomial, c in self.terms:
            factors = [str(a) for a in monomial]
            if abs(c) != 1 or not factors:
                factors.insert(0, str(abs(c)))
            sign = ("- " if parts else "-") if c < 0 else ("+ " if parts else "")
            parts.append(sign + "*".join(factors))
        return " ".join(parts)

    def __str__(self) -> str:
        return self._text

    def __add__(self, other: Dim) -> Dim:
        total = dict(self.terms)
        for monomial, c in _terms(other):
            total[monomial] = total.get(monomial, 0) + c
        return _build(total)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + -other

    def __rsub__(self, other: Dim) -> Dim:
        return -self + other

    def __mul__(self, other: Dim) -> Dim:
        total: dict[_Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right, key=str))
                total[monomial] = total.get(monomial, 0) + a * b
        return _build(total)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return _floordiv(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return _floordiv(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return _mod(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return _mod(other, self)

    @property
    def symbols(self) -> frozenset[str]:
        """The names that occur in the expression."""
        return frozenset(s for monomial, _ in self.terms for a in monomial for s in _symbols(a))

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The number this becomes when every symbol has a value.

        Raises:
            KeyError: if a symbol has none.
        """
        total = 0
        for monomial, c in self.terms:
            for atom in monomial:
                c *= values[atom] if isinstance(atom, str) else _call_value(atom, values)
            total += c
        return total


Dim = int | Expr


def _symbols(atom: _Atom) -> frozenset[str]:
    if isinstance(atom, str):
        return frozenset({atom})
    return frozenset(s for a in atom.args if isinstance(a, Expr) for s in a.symbols)


def _call_value(call: _Call, values: Mapping[str, int]) -> int:
    numbers = [size_of(a, values) for a in call.args]
    if call.name in ("max", "min"):
        return max(numbers) if call.name == "max" else min(numbers)
    return numbers[0] // numbers[1] if call.name == "floordiv" else numbers[0] % numbers[1]


def _terms(value: Dim) -> tuple[tuple[_Monomial, int], ...]:
    return value.terms if isinstance(value, Expr) else (((), value),)


def _build(total: Mapping[_Monomial, int]) -> Dim:
    terms = tuple((m, total[m]) for m in sorted(total, key=_key) if total[m])
    if not terms:
        return 0
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]
    return Expr(terms)


def _atom(atom: _Atom) -> Expr:
    return Expr((((atom,), 1),))


def _floordiv(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if a == b:
        return 1
    quotient = _exact_quotient(a, b)
    return _atom(_Call("floordiv", (a, b))) if quotient is None else quotient


def _exact_quotient(a: Dim, b: Dim) -> Dim | None:
    """``a / b`` if ``b`` is one term that divides every term of ``a``."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return None
    (atoms, coefficient) = divisor[0]
    result: dict[_Monomial, int] = {}
    for monomial, c in _terms(a):
        rest = list(monomial)
        for atom in atoms:
            if atom not in rest:
                return None
            rest.remove(atom)
        if c % coefficient:
            return None
        result[tuple(rest)] = c // coefficient
    return _build(result)


def _mod(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    return 0 if _exact_quotient(a, b) is not None else _atom(_Call("mod", (a, b)))


def _extreme(name: str, args: tuple[Dim, ...]) -> Dim:
    numbers = [a for a in args if isinstance(a, int)]
    rest = sorted({a for a in args if isinstance(a, Expr)}, key=str)
    if numbers:
        best = max(numbers) if name == "max" else min(numbers)
        if not rest:
            return best
        return _atom(_Call(name, (best, *rest)))
    return rest[0] if len(rest) == 1 else _atom(_Call(name, tuple(rest)))


def dim_max(*args: Dim) -> Dim:
    """The larger of several dimensions."""
    return _extreme("max", args)


def size_of(value: Dim, sizes: Mapping[str, int]) -> int:
    """The number that a dimension is.

    Args:
        value: an integer or an expression.
        sizes: what its symbols stand for.

    Raises:
        KeyError: if a symbol has no size.

    Example:
        >>> size_of(8, {}), size_of(2 * symbol("N"), {"N": 3})
        (8, 6)
    """
    return value.evaluate(sizes) if isinstance(value, Expr) else value


def symbol(name: str) -> Expr:
    """The dimension called ``name``.

    Raises:
        ValueError: if ``name`` is not an identifier.
    """
    if not name.isidentifier() or name in ("max", "min"):
        raise ValueError(f"expected an identifier for a dimension, found {name!r}")
    return _atom(name)


def dim(value: int | str | Expr) -> Dim:
    """An integer, an expression, or the text of one."""
    return parse_dim(value) if isinstance(value, str) else value


def parse_dim(text: str) -> Dim:
    """Read a dimension: ``8``, ``N``, ``2*N + 1``, ``(N // 2)``, ``max(1, N)``.

    Raises:
        ValueError: if the text is not such an expression.

    Example:
        >>> str(parse_dim("(H + 2*1 - 3)//2 + 1"))
        '((H - 1) // 2) + 1'
    """
    try:
        return _parsed(text)
    except (SyntaxError, ZeroDivisionError):
        raise ValueError(f"malformed dimension {text!r}") from None


@cache  # a graph has few dimensions, each of them very often
def _parsed(text: str) -> Dim:
    return _convert(ast.parse(text.strip(), mode="eval").body)


def _convert(node: ast.expr) -> Dim:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_convert(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _convert(left), _convert(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if args:
            return _function(name, tuple(_convert(a) for a in args))
        case _:
            raise ValueError(f"malformed dimension {ast.unparse(node)!r}")


def _binary(op: ast.operator, left: Dim, right: Dim) -> Dim:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv():
            return left // right
        case ast.Mod():
            return left % right
        case ast.Pow() if isinstance(right, int) and right >= 0:
            power: Dim = 1
            for _ in range(right):
                power = power * left
            return power
        case _:
            raise ValueError("expected + - * // % or a whole power in a dimension")


# What torch.export's symbolic shapes print beside Python's own operators.
_FUNCTIONS = {
    "floordiv": "floordiv",
    "cleandiv": "floordiv",
    "intdiv": "floordiv",
    "mod": "mod",
    "pythonmod": "mod",
}


def _function(name: str, args: tuple[Dim, ...]) -> Dim:
    lowered = name.lower()
    if lowered in ("max", "min"):
        return _extreme(lowered, args)
    kind = _FUNCTIONS.get(lowered)
    if kind is None or len(args) != 2:
        raise ValueError(f"unknown function {name!r} in a dimension")
    return args[0] // args[1] if kind == "floordiv" else args[0] % args[1]
