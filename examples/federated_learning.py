# SPDX-License-Identifier: Apache-2.0
"""Three clients train a small model on their own data; an aggregator that nobody has to trust averages the weights.

What the aggregator is (MPC between two servers) stands in federated_learning.toml only. Run it with
``jali run examples/federated_learning.py --federation examples/federated_learning.toml --simulate``.
"""

from pathlib import Path

import numpy as np

import jali


def load(name):
    return np.loadtxt(Path(__file__).with_name("data") / name, delimiter=",")


def fit(w, data):
    x, y = data[:, :-1], data[:, -1]
    return w + 0.3 * x.T @ (y - x @ w) / len(y)


fed = jali.connect()
worker, aggregator = fed.devices("worker"), fed.device("aggregator")
data = [device(load)(f"client{i}.csv") for i, device in enumerate(worker)]
mean = [np.zeros(3)] * len(worker)
for _ in range(10):
    local = [device(fit)(mean[i], data[i]) for i, device in enumerate(worker)]
    joint = aggregator(np.mean)(local, axis=0)
    mean = [jali.reveal(joint, to=device) for device in worker]
print("mean weights:", mean)
