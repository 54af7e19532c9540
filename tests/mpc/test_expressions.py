# SPDX-License-Identifier: Apache-2.0
"""Random expressions: whatever is combined, scales are tracked rightly and the result is that of numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.mpc.engine import SecretArray, compile_function, execute, reveal_outputs, share_inputs, type_of
from jali.mpc.plain import PlainProtocol
from jali.mpc.rounds import drive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tree = tuple[Any, ...]

X = np.array([[0.5, -1.25, 2.0], [3.5, -0.75, 0.125]])
Y = np.array([[1.5, 0.25, -2.0], [-0.5, 4.0, 1.0]])
FACTORS = [0.0, 1.0, -1.0, 2.0, 0.5, -0.25, 0.1, 1 / 1024, 3.7, 1e-3, 100.0]

leaves = st.one_of(st.sampled_from([("x",), ("y",)]), st.sampled_from(FACTORS).map(lambda c: ("constant", c)))


def grow(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from(["add", "subtract", "multiply", "maximum", "minimum"]), children, children),
        st.tuples(st.just("where"), children, children, children),
        st.tuples(st.sampled_from(["negative", "abs", "square", "mean", "total", "turn"]), children),
        st.tuples(st.just("scale"), children, st.sampled_from(FACTORS)),
    )


trees = st.recursive(leaves, grow, max_leaves=7)


def evaluate(tree: Tree, x: Any, y: Any, *, numbers: Any) -> Any:
    """The expression in numpy or in jax.numpy; every value has the shape (2, 3)."""
    kind, *parts = tree
    if kind in {"x", "y"}:
        return x if kind == "x" else y
    values = [evaluate(p, x, y, numbers=numbers) if isinstance(p, tuple) else p for p in parts]
    own: dict[str, Any] = {
        "constant": lambda c: numbers.full((2, 3), c),
        "where": lambda a, b, c: numbers.where(a < b, b, c),
        "scale": lambda a, c: a * c,
        "mean": lambda a: a - numbers.mean(a, axis=0),
        "total": lambda a: a + numbers.sum(a * a) / 16,
        "turn": lambda a: numbers.reshape(a.T, (2, 3)),
    }
    apply = own[kind] if kind in own else getattr(numbers, kind)
    return apply(*values)


def in_fixed_point(tree: Tree) -> NDArray[Any]:
    side: Any = PlainProtocol()
    types = [type_of(X), type_of(Y)]
    program = compile_function(lambda x, y: evaluate(tree, x, y, numbers=jnp), types)
    inputs = drive(share_inputs(side, [X, Y], owner=0, types=types), {})
    results: list[SecretArray] = execute(program, side, inputs, streams={})
    (opened,) = drive(reveal_outputs(side, results, to=[0]), {})
    return np.asarray(opened)


def magnitude(tree: Tree) -> float:
    """A bound of every intermediate value, so that only expressions that fit are compared."""
    kind, *parts = tree
    below = [magnitude(p) if isinstance(p, tuple) else abs(float(p)) for p in parts]
    if kind in {"x", "y"}:
        return 4.0
    if kind == "multiply":
        return max(*below, below[0] * below[1])
    if kind == "scale":
        return max(below[0], below[0] * below[1])
    if kind in {"square", "total"}:
        return below[0] + below[0] ** 2
    return float(sum(below))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(trees)
def test_random_expressions(tree: Tree) -> None:
    bound = magnitude(tree)
    if bound > 2.0**14:
        return
    truth = np.broadcast_to(evaluate(tree, X, Y, numbers=np), (2, 3))
    if np.min(np.abs(_decisions(tree)), initial=1.0) < 1e-3:
        return  # a comparison of what is equal up to rounding goes either way
    np.testing.assert_allclose(in_fixed_point(tree), truth, atol=2.0**-15 * (1 + bound), rtol=0)


def _decisions(tree: Tree) -> NDArray[Any]:
    """Differences that `where` decides by."""
    kind, *parts = tree
    own = [np.zeros(0)]
    if kind == "where":
        a, b = (evaluate(p, X, Y, numbers=np) for p in parts[:2])
        own = [np.ravel(a - b)]
    return np.concatenate([*own, *(_decisions(p) for p in parts if isinstance(p, tuple))])
