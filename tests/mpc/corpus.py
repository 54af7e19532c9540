# SPDX-License-Identifier: Apache-2.0
"""Programs that users write, with inputs: each is traced, run, and compared with jax in float64.

`python -m tests.mpc.corpus` does that under `plain` with nothing but jax and jali (programs of flax, optax and equinox
are left out where those are missing). It is how a new release of jax is tried: see the Makefile's `corpus`.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jali.core.tree import flatten, unflatten
from jali.mpc.engine import compile_function, reveal_outputs, share_inputs, type_of
from jali.mpc.lower.trace import numpy_as_jax
from jali.mpc.program import run_program
from tests.mpc.roles import run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from jali.mpc.ir import Program
    from jali.mpc.rounds import Round
    from tests.mpc.case import Case

__all__ = ["BASICS", "PROGRAMS", "agree", "expected", "operation_of", "program_of", "run_program_under"]

THEMES = ("basics", "elementwise", "learning", "linear", "metrics", "networks", "order", "scipy", "transforms")
LIBRARIES = ("equinox", "flax", "optax")


def _cases(*themes: str) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for theme in themes:
        found = import_module(f"tests.mpc.corpus_{theme}").CASES
        twice = cases.keys() & found.keys()
        if twice:
            raise ValueError(f"two programs of the corpus are called {sorted(twice)}")
        cases |= found
    return cases


BASICS = _cases("basics")
"""The programs that run under every protocol."""

PROGRAMS = _cases(*THEMES, *(name for name in LIBRARIES if find_spec(name) is not None))
"""All programs by name."""


@cache
def program_of(name: str) -> Program:
    """The traced program."""
    case = PROGRAMS[name]
    leaves, structure = flatten(list(case.inputs))
    return compile_function(case.function, unflatten(structure, [type_of(leaf) for leaf in leaves]))


def operation_of(name: str, program: Program | None = None) -> Callable[[Any], Generator[Round, Any, list[Any]]]:
    """Sharing the inputs, all of them from role 0, running the program, and revealing the outputs to role 0."""
    leaves, _ = flatten(list(PROGRAMS[name].inputs))
    types = [type_of(leaf) for leaf in leaves]
    program = program or program_of(name)

    def operation(side: Any) -> Generator[Round, Any, list[Any]]:
        values = leaves if side.role == 0 else None
        given = yield from share_inputs(side, values, owner=0, types=types)
        shares = yield from run_program(program, side, [value.share for value in given])
        results = [type(given[0])(share, kind) for share, kind in zip(shares, program.output_types, strict=True)]
        return (yield from reveal_outputs(side, results, to=[0]))

    return operation


def run_program_under(
    protocol: str,
    name: str,
    *,
    program: Program | None = None,
    observe: Callable[[Mapping[int, Round]], None] | None = None,
) -> list[NDArray[Any]]:
    """The outputs of a program of the corpus as role 0 sees them; `program` is another form of it."""
    return list(run_lockstep(protocol, operation_of(name, program), seed=len(name), observe=observe)[0])


@cache
def expected(name: str) -> list[NDArray[Any]]:
    """The outputs of a program of the corpus in float64."""
    case = PROGRAMS[name]
    with jax.enable_x64(True):
        leaves, structure = flatten(list(case.inputs))
        wide = [jnp.asarray(leaf) for leaf in leaves]
        # compiled as a whole: operation by operation takes a compilation each
        outputs, _ = flatten(jax.jit(numpy_as_jax(case.function))(*unflatten(structure, wide)))
        return [np.asarray(output) for output in outputs]


def agree(name: str, found: list[NDArray[Any]]) -> None:
    """Compare results with jax's.

    Raises: AssertionError if a shape, a kind of number or a value is another.
    """
    case, truth = PROGRAMS[name], expected(name)
    assert [a.shape for a in found] == [b.shape for b in truth]
    assert [a.dtype.kind for a in found] == [b.dtype.kind.replace("u", "i") for b in truth]
    for a, b in zip(found, truth, strict=True):
        exact = b.dtype.kind in "biu"
        absolute, relative = (0.0, 0.0) if exact else (case.absolute, case.relative)
        np.testing.assert_allclose(a.astype(float), b.astype(float), atol=absolute, rtol=relative)


def main() -> int:
    """Trace and run every program under `plain`; the exit status is the number of those that failed, at most 100."""
    failed = 0
    for name in PROGRAMS:
        try:
            agree(name, run_program_under("plain", name))
        except Exception as error:  # noqa: BLE001 - a report of all failures is the point
            failed += 1
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    print(f"jax {jax.__version__}, Python {sys.version.split()[0]}: {len(PROGRAMS)} programs, {failed} failed")
    return min(failed, 100)


if __name__ == "__main__":
    sys.exit(main())
