# SPDX-License-Identifier: Apache-2.0
"""Two millionaires learn who is richer, and nothing else (A. C. Yao, Protocols for secure computations, 1982).

Run it with ``jali run examples/millionaires.py --parties alice,bob``.
"""

import jali

fed = jali.connect()
alice, bob, mpc = fed.plain("alice"), fed.plain("bob"), fed.mpc("alice", "bob")
fortune_alice = alice(lambda: 1_200_000)()
fortune_bob = bob(lambda: 3_400_000)()
richer = mpc(lambda a, b: a > b)(fortune_alice, fortune_bob)
print("alice is richer:", jali.reveal(richer, to=[alice, bob]))
