# SPDX-License-Identifier: Apache-2.0
"""What `jali bench mpc` times: functions as a user writes them, with the operands of one run each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali import kernels
from jali.core.extras import need
from jali.mpc.order.radix import sort_by_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["CASES", "Case"]


class Case(NamedTuple):
    """A jax function of secret arrays, its usual size, and its operands for a size.

    Operands belong to parties in turn: the first to role 0, the second to role 1, the third to role 0, ...
    `operation` is done instead of the function where a plan would choose another way.
    """

    size: int
    function: Callable[..., Any]
    operands: Callable[[int], tuple[NDArray[np.float64], ...]]
    operation: Callable[[MpcProtocol, Any], Generator[Round, Any, Any]] | None = None


_KEY = bytes(16)
_KEY_BITS = 21  # of numbers below 8
_BATCH, _FEATURES = 1024, 100
_LABELS = ("NHWC", "HWIO", "NHWC")


def _uniform(low: float, high: float, *shape: int, seed: int = 7) -> NDArray[np.float64]:
    words = kernels.prg_words(_KEY, seed, math.prod(shape)) >> np.uint64(11)
    return np.asarray(low + (high - low) * (words.astype(np.float64) * 2.0**-53).reshape(shape))


def _pair(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _uniform(-8, 8, n), _uniform(-8, 8, n, seed=8)


def _mul(x: Any, y: Any) -> Any:
    return x * y


def _matmul(x: Any, y: Any) -> Any:
    return x @ y


def _less(x: Any, y: Any) -> Any:
    return x < y


def _exp(x: Any) -> Any:
    return need("jax.numpy", extra="jax").exp(x)


def _log(x: Any) -> Any:
    return need("jax.numpy", extra="jax").log(x)


def _tanh(x: Any) -> Any:
    return need("jax.numpy", extra="jax").tanh(x)


def _sqrt(x: Any) -> Any:
    return need("jax.numpy", extra="jax").sqrt(x)


def _sigmoid(x: Any) -> Any:
    return need("jax.nn", extra="jax").sigmoid(x)


def _reciprocal(x: Any) -> Any:
    return 1.0 / x


def _division(x: Any, y: Any) -> Any:
    return x / y


def _softmax(x: Any) -> Any:
    return need("jax.nn", extra="jax").softmax(x, axis=-1)


def _sort(x: Any) -> Any:
    return need("jax.numpy", extra="jax").sort(x)


def _logistic(x: Any, y: Any) -> Any:
    """One epoch of logistic regression by gradient descent on batches."""
    nn, numbers = need("jax.nn", extra="jax"), need("jax.numpy", extra="jax")
    w = numbers.zeros((x.shape[1], 1))
    for start in range(0, x.shape[0], _BATCH):
        rows, labels = x[start : start + _BATCH], y[start : start + _BATCH]
        error = nn.sigmoid(rows @ w) - labels
        w = w - 0.1 / rows.shape[0] * (rows.T @ error)
    return w


def _mlp(x: Any, a: Any, b: Any, c: Any) -> Any:
    """Two hidden layers."""
    relu = need("jax.nn", extra="jax").relu
    return relu(relu(x @ a) @ b) @ c


def _cnn(x: Any, first: Any, second: Any, last: Any) -> Any:
    """Two convolutions with pooling, and a layer."""
    relu = need("jax.nn", extra="jax").relu
    h = _pooled(relu(_convolved(x, first)))
    h = _pooled(relu(_convolved(h, second)))
    return h.reshape(h.shape[0], -1) @ last


def _convolved(x: Any, kernel: Any) -> Any:
    lax = need("jax.lax", extra="jax")
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=_LABELS)


def _pooled(x: Any) -> Any:
    lax = need("jax.lax", extra="jax")
    return lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _rows_and_labels(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = _uniform(-1, 1, n, _FEATURES)
    return x, (x @ _uniform(-1, 1, _FEATURES, 1, seed=8) > 0).astype(np.float64)


def _layers(n: int) -> tuple[NDArray[np.float64], ...]:
    return (
        _uniform(0, 1, n, 784),
        _uniform(-0.05, 0.05, 784, 128, seed=8),
        _uniform(-0.1, 0.1, 128, 128, seed=9),
        _uniform(-0.1, 0.1, 128, 10, seed=10),
    )


def _images(n: int) -> tuple[NDArray[np.float64], ...]:
    return (
        _uniform(0, 1, n, 28, 28, 1),
        _uniform(-0.2, 0.2, 5, 5, 1, 8, seed=8),
        _uniform(-0.1, 0.1, 5, 5, 8, 16, seed=9),
        _uniform(-0.1, 0.1, 256, 10, seed=10),
    )


def _sorted_by_digits(side: MpcProtocol, x: Any) -> Generator[Round, Any, Any]:
    """By the bits that numbers below 8 have."""
    row = side.linear(lambda a: a.reshape(1, -1), x, shape=(1, *x.shape))
    return (yield from sort_by_digits(side, [row], keys=1, bits=_KEY_BITS))


CASES = {
    "mul": Case(1_000_000, _mul, _pair),
    "matmul": Case(1_000, _matmul, lambda n: (_uniform(-1, 1, n, n), _uniform(-1, 1, n, n, seed=8))),
    "matvec": Case(10_000, _matmul, lambda n: (_uniform(-1, 1, n, 100), _uniform(-1, 1, 100, 1, seed=8))),
    "less": Case(1_000_000, _less, _pair),
    "exp": Case(100_000, _exp, lambda n: (_uniform(-8, 4, n),)),
    "sigmoid": Case(100_000, _sigmoid, lambda n: (_uniform(-8, 8, n),)),
    "tanh": Case(100_000, _tanh, lambda n: (_uniform(-4, 4, n),)),
    "log": Case(100_000, _log, lambda n: (_uniform(0.01, 100, n),)),
    "reciprocal": Case(100_000, _reciprocal, lambda n: (_uniform(0.05, 100, n),)),
    "sqrt": Case(100_000, _sqrt, lambda n: (_uniform(0.01, 100, n),)),
    "division": Case(100_000, _division, lambda n: (_uniform(-50, 50, n), _uniform(0.1, 50, n, seed=8))),
    "softmax": Case(1_000, _softmax, lambda n: (_uniform(-4, 4, n, 100),)),
    "sort": Case(100_000, _sort, lambda n: (_uniform(-8, 8, n),)),
    "sort_radix": Case(100_000, _sort, lambda n: (_uniform(-8, 8, n),), _sorted_by_digits),
    "logistic": Case(10_000, _logistic, _rows_and_labels),
    "mlp": Case(128, _mlp, _layers),
    "cnn": Case(16, _cnn, _images),
}
