# SPDX-License-Identifier: Apache-2.0
"""How parties talk: sessions of numbered streams, in memory or over TLS 1.3, and who is who.

`session` is what the layers above use; `connect` (TLS) and `memory` make one; `channel` says what a stream promises.
Underneath: `handshake` and `pairing` bring a pair of parties together, `link` and `streams` cut messages into `frames`
with back-pressure, `wire` carries them over two one-way connections and resumes after a drop. `authority` makes
certificates, `identity` judges them; `doctor`, `measure` and `bench` look at machine and network.
"""

__all__: list[str] = []
