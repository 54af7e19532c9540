# SPDX-License-Identifier: Apache-2.0
"""Primitives that are programs: their rule is a function of jax.numpy, traced in the place of the primitive.

Such a function may call a fixed-point function that jax has no name for (`named`), and everything that has a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.extras import need
from jali.mpc.lower.arithmetic import function
from jali.mpc.lower.builder import Builder, Operand, Secret, rule
from jali.mpc.lower.functions import HOOKS
from jali.mpc.lower.hooks import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Program = Callable[..., Any]

__all__ = ["named", "program", "traced"]

_NAMED = "jali_"


def program(*names: str) -> Callable[[Program], Program]:
    """Register a function as the rule of primitives: called with jax, the equation's parameters and its arrays."""

    def register(body: Program) -> Program:
        def lowered(build: Builder, params: Any, *operands: Operand) -> list[Operand]:
            jax = need("jax", extra="jax")
            described = [variable.aval for variable in params["__equation__"].invars]
            return traced(build, lambda *arrays: body(jax, params, *arrays), operands, described=described)

        rule(*names)(lowered)
        return body

    return register


def traced(build: Builder, body: Program, operands: Sequence[Operand], *, described: Sequence[Any]) -> list[Operand]:
    """The results of a function of jax.numpy; its operations count as the source line that is being lowered."""
    from jali.mpc.lower.control import walk

    jax = need("jax", extra="jax")
    jaxpr = jax.make_jaxpr(body)(*(jax.ShapeDtypeStruct(tuple(aval.shape), aval.dtype) for aval in described))
    before, build.pinned = build.pinned, True
    try:
        return walk(build, jaxpr, operands)
    finally:
        build.pinned = before


def named(jax: Any, name: str, meaning: Program) -> Program:
    """A fixed-point function that a traced program can call; `meaning` is what it computes, for jax itself."""

    def called(x: Any) -> Any:
        return meaning(x)

    called.__name__ = _NAMED + name
    hook = Hook(lambda build, x: function(build, name, x) if isinstance(x, Secret) else None, operands=1)
    HOOKS.setdefault(_NAMED + name, hook)
    jitted: Program = jax.jit(called)
    return jitted
