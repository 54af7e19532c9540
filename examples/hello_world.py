# SPDX-License-Identifier: Apache-2.0
"""The joint mean of two organisations' salaries; neither sees the other's.

Run it with ``jali run examples/hello_world.py --parties alice,bob``.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

import jali


def load(name):
    return np.loadtxt(Path(__file__).with_name("data") / name)


fed = jali.connect()
alice, bob, mpc = fed.plain("alice"), fed.plain("bob"), fed.mpc("alice", "bob")
x = alice(load)("salaries_alice.csv")
y = bob(load)("salaries_bob.csv")
mean = mpc(lambda x, y: jnp.concatenate((x, y)).mean())(x, y)
print("joint mean:", jali.reveal(mean, to=[alice, bob]))
