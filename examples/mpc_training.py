# SPDX-License-Identifier: Apache-2.0
"""Two parties hold different features of the same people and train one model; only p1 sees the weights.

Run it with ``jali run examples/mpc_training.py --parties alice,bob``.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jali


def load(name):
    return np.loadtxt(Path(__file__).with_name("data") / name, delimiter=",")


def train(x1, x2, y):
    x = jnp.concatenate((x1, x2), axis=1)

    def loss(w):
        return jnp.mean(jnp.logaddexp(0, x @ w) - y * (x @ w))

    def step(_, w):
        return w - jax.grad(loss)(w)

    return jax.lax.fori_loop(0, 30, step, jnp.zeros(x.shape[1]))


fed = jali.connect()
p1, p2, mpc = fed.plain("alice"), fed.plain("bob"), fed.mpc("alice", "bob")

x1 = p1(load)("x1.csv")
x2 = p2(load)("x2.csv")
y = p2(load)("y.csv")

w = mpc(train)(x1, x2, y)
print("weights:", jali.reveal(w, to=p1))
