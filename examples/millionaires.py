# SPDX-License-Identifier: Apache-2.0
"""Two millionaires learn who is richer, and nothing else (A. C. Yao, Protocols for secure computations, 1982).

Run it with ``jali run examples/millionaires.py --parties alice,bob``.
"""

from pathlib import Path

import jali


def load(name):
    return int((Path(__file__).with_name("data") / name).read_text())


fed = jali.connect()
alice, bob, mpc = fed.plain("alice"), fed.plain("bob"), fed.mpc("alice", "bob")
x = alice(load)("fortune_alice.txt")
y = bob(load)("fortune_bob.txt")
richer = mpc(lambda x, y: x > y)(x, y)
print("alice is richer:", jali.reveal(richer, to=[alice, bob]))
