# SPDX-License-Identifier: Apache-2.0
"""Functions of jax that have a better form than their parts: how they are told from namesakes and derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jali.mpc.lower.builder import Operand

__all__ = ["Hook", "applies"]


class Hook(NamedTuple):
    """What to do in the place of a jitted or custom-gradient function; None has its parts taken after all.

    A derivative keeps the name of its function. So a hook says how many operands and results the function itself has,
    and a primitive that it contains and the derivatives with as many do not.
    """

    lower: Callable[..., Operand | Sequence[Operand] | None]
    operands: int
    results: int = 1
    contains: str = ""


def applies(hook: Hook, equation: Any, inner: Any) -> bool:
    """Whether the function that an equation calls is the one that the hook is for."""
    debug = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
    where = str(getattr(debug, "func_src_info", "") or "").replace("\\", "/")
    if "/jax/_src/" not in where and "/jali/mpc/" not in where:  # the user's own, by the same name
        return False
    if (len(equation.invars), len(equation.outvars)) != (hook.operands, hook.results):
        return False
    return not hook.contains or hook.contains in _primitives(inner)


def _primitives(jaxpr: Any) -> Iterator[str]:
    """The names of all primitives, those within calls included."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            if hasattr(value, "eqns"):
                yield from _primitives(value)
