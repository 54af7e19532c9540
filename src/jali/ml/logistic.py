# SPDX-License-Identifier: Apache-2.0
"""Logistic regression by mini-batch gradient descent: one `jax.numpy` text for a joint device and for plain arrays."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali.core.errors import ModelParameterError
from jali.core.extras import need
from jali.mpc.lower.trace import in_64_bits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["LogisticRegression", "Weights", "in_float64"]


class Weights(NamedTuple):
    """A fitted model: `coefficients` (k,) in the order of the parties' features, and `intercept` ()."""

    coefficients: Any
    intercept: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """P(label = 1 | x) = sigmoid(x · coefficients + intercept), fitted by gradient descent with momentum.

    It minimises mean log-loss + l2/2 · |coefficients|². `fit` and `predict` are pure functions of arrays, so
    `mpc(model.fit)(features, labels)` trains on secrets, and `in_float64(model.fit)(features, labels)` in clear.
    The order of the batches is public, from `seed`: rows are shuffled once, and the last batch is filled up with the
    first rows of that order.

    Units: features of size about 1 (standardise first): products then stay far below the fixed-point limit of 2^43.
    Security: that of the device it runs on; nothing is opened. Shapes and parameters are public.
    Cost: on a joint device, epochs · ceil(n / batch_size) steps of two matrix products and a sigmoid in sequence.
    Raises: ModelParameterError for a parameter out of range, or shapes that do not fit.

    Example:
    >>> model = LogisticRegression(epochs=50, batch_size=4)
    >>> x, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> weights = in_float64(model.fit)(x, y)
    >>> in_float64(model.predict)(weights, x).round().tolist()
    [0.0, 0.0, 1.0, 1.0]

    References: B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964 (momentum).
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.1
    l2: float = 0.01
    momentum: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_range("epochs", self.epochs, low=1, high=10_000)
        _check_range("batch_size", self.batch_size, low=1, high=1_000_000)
        _check_range("learning_rate", self.learning_rate, low=1e-6, high=10)
        _check_range("l2", self.l2, low=0, high=10)
        _check_range("momentum", self.momentum, low=0, high=0.999)
        _check_range("seed", self.seed, low=0, high=2**63)

    def batches(self, rows: int) -> NDArray[np.int64]:
        """The public batch order: row numbers, (batches, batch size)."""
        size = min(self.batch_size, rows)
        order = np.random.default_rng(self.seed).permutation(rows)
        return np.resize(order, (-(-rows // size), size)).astype(np.int64)

    def fit(self, features: Any, labels: Any) -> Weights:
        """Train on the columns of all `features` side by side.

        Shapes: features (n, k), or a list of (n, k_i), one a party; labels (n,) of 0 and 1; the result has sum of k_i
        coefficients.
        """
        import jax.numpy as jnp
        from jax import lax

        x, y = _side_by_side(features), labels
        _check_labels(x.shape[0], y.shape)
        order = self.batches(x.shape[0])
        rate, decay = self.learning_rate / order.shape[1], self.learning_rate * self.l2
        batches = (x[order], y.astype(x.dtype)[order])

        def step(state: tuple[Any, ...], batch: tuple[Any, Any]) -> tuple[tuple[Any, ...], None]:
            w, b, dw, db = state
            rows, target = batch
            error = _sigmoid(rows @ w + b) - target
            dw = self.momentum * dw - rate * (error @ rows) - decay * w
            db = self.momentum * db - rate * error.sum()
            return (w + dw, b + db, dw, db), None

        def epoch(state: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], None]:
            return lax.scan(step, state, batches)

        zeros, zero = jnp.zeros(x.shape[1], x.dtype), jnp.zeros((), x.dtype)
        (w, b, _, _), _ = lax.scan(epoch, (zeros, zero, zeros, zero), None, length=self.epochs)
        return Weights(w, b)

    def predict(self, weights: Weights, features: Any) -> Any:
        """P(label = 1) of each row. Shapes: features as for `fit`; the result (n,)."""
        return _sigmoid(_side_by_side(features) @ weights.coefficients + weights.intercept)


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of plain arrays in double precision: the reference that a joint device is compared with."""

    def run(*arguments: Any) -> Any:
        jax = need("jax", extra="jax")
        with in_64_bits(jax):
            result = jax.jit(function)(*jax.tree.map(np.asarray, arguments))
            return jax.tree.map(np.asarray, result)

    return run


def _side_by_side(features: Any) -> Any:
    import jax.numpy as jnp

    parts = [features] if hasattr(features, "shape") else list(features)
    shapes = [tuple(part.shape) for part in parts]
    if not parts or any(len(shape) != 2 or shape[0] != shapes[0][0] for shape in shapes):
        raise ModelParameterError(
            "features should be one matrix (n, k), or a list of matrices with the same number of rows, "
            f"found shapes {', '.join(map(str, shapes)) or 'of nothing'}"
        )
    return jnp.concatenate(parts, axis=1)


def _sigmoid(z: Any) -> Any:
    import jax

    return jax.nn.sigmoid(z)


def _check_labels(rows: int, y: tuple[int, ...]) -> None:
    if rows == 0 or y != (rows,):
        raise ModelParameterError(f"labels should be ({rows},), one for each of at least 1 row, found {y}")


def _check_range(name: str, value: float, *, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ModelParameterError(f"{name} should be between {low} and {high}, found {value}")
