# SPDX-License-Identifier: Apache-2.0
"""The program of `network_times.py`: operations on shared inputs, one after the other, each four times."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jali
from jali.ml import LogisticRegression
from jali.transport.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, FEATURES, HIDDEN = 10_000, 100, 16
MODEL = LogisticRegression(epochs=1, batch_size=1024)


def numbers(*shape: int, seed: int) -> Any:
    """Numbers of size one."""
    return np.random.default_rng(seed).normal(size=shape)


def labels(n: int) -> Any:
    """Zeros and ones."""
    return np.random.default_rng(9).integers(0, 2, n)


def kept(x: Any) -> Any:
    """The value itself: what is timed is its sharing."""
    return x


def mul(x: Any, y: Any) -> Any:
    """Elementwise product."""
    return x * y


def less(x: Any, y: Any) -> Any:
    """Comparison."""
    return x < y


def matmul(x: Any, y: Any) -> Any:
    """Matrix product."""
    return x @ y


def sigmoid(x: Any, y: Any) -> Any:
    """Logistic function of a tenth of the elements."""
    import jax

    return jax.nn.sigmoid(x[: x.shape[0] // 10] + y[: x.shape[0] // 10])


def epoch(x: Any, y: Any) -> Any:
    """An epoch of logistic regression."""
    return MODEL.fit(x, y)


def mlp_step(x: Any, y: Any) -> Any:
    """A step of gradient descent of a network with one hidden layer, on the first 512 rows."""
    import jax
    import jax.numpy as jnp

    weights = (jnp.full((FEATURES, HIDDEN), 0.01), jnp.full((HIDDEN, 1), 0.1))
    rows, wanted = x[:512], y[:512].astype(jnp.float32)[:, None]

    def loss(w: Any) -> Any:
        return jnp.mean((jax.nn.relu(rows @ w[0]) @ w[1] - wanted) ** 2)

    return [w - 0.1 * g for w, g in zip(weights, jax.grad(loss)(weights), strict=True)]


def programs(alice: Any, bob: Any, n: int) -> list[tuple[Callable[..., Any], Any, Any]]:
    """Functions with their inputs."""
    x, y = alice(numbers)(n, seed=1), bob(numbers)(n, seed=2)
    side = round(n**0.5)
    left, right = alice(numbers)(side, side, seed=3), bob(numbers)(side, side, seed=4)
    table, target = alice(numbers)(ROWS, FEATURES, seed=5), bob(labels)(ROWS)
    return [
        (kept, x, None),
        (kept, y, None),
        (mul, x, y),
        (less, x, y),
        (sigmoid, x, y),
        (kept, left, None),
        (kept, right, None),
        (matmul, left, right),
        (kept, table, None),
        (kept, target, None),
        (epoch, table, target),
        (mlp_step, table, target),
    ]


def main() -> None:
    """Run at one party: RTT_S BANDWIDTH PROTOCOL N FILE."""
    rtt_s, bandwidth, protocol, n, file = sys.argv[1:]
    network = Network(rtt_s=float(rtt_s), bandwidth=float(bandwidth), one_machine=True)
    with jali.connect() as fed:
        alice, bob = fed.plain("alice"), fed.plain("bob")
        parties = ("alice", "bob") if protocol == "m2k" else ("alice", "bob", "dealer")
        mpc = fed.mpc(*parties, protocol=protocol)
        results = []
        for function, x, y in programs(alice, bob, int(n)):
            for _ in range(1 if y is None else 4):
                results.append(mpc(function)(x) if y is None else mpc(function)(x, y))
                fed.report(predicted=False)  # waits until all that was called has run
        Path(file).write_bytes(fed.report(network=network).to_json())


if __name__ == "__main__":
    main()
