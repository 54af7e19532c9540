# SPDX-License-Identifier: Apache-2.0
"""The joint mean of two organisations' salaries; neither sees the other's.

Run it with ``jali run examples/hello_world.py --parties alice,bob``.
"""

import jax.numpy as jnp

import jali

fed = jali.connect()
alice, bob, mpc = fed.plain("alice"), fed.plain("bob"), fed.mpc("alice", "bob")
salaries_alice = alice(lambda: [3100.0, 2900.0, 4050.0])()
salaries_bob = bob(lambda: [3600.0, 2750.0])()
mean = mpc(lambda a, b: jnp.concatenate((a, b)).mean())(salaries_alice, salaries_bob)
print("joint mean:", jali.reveal(mean, to=[alice, bob]))
