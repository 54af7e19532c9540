# SPDX-License-Identifier: Apache-2.0
"""Programmed values come out at common keys, and look random elsewhere."""

from __future__ import annotations

import numpy as np
from scipy.stats import chisquare

from jali.core.errors import PsiFrameInvalid
from jali.crypto.randomness import random_bytes
from jali.psi.keys import Keys
from jali.psi.programmed import program, programmed, table_bytes
from jali.psi.vole_oprf import OprfClient, OprfServer
from tests.psi.pairs import PairStream, quiet, run_both, stream_pair


def test_values_at_common_keys_and_nowhere_else() -> None:
    mine, theirs = Keys(np.arange(700)), Keys(np.arange(500, 1500))
    values = np.frombuffer(random_bytes(16 * len(theirs)), np.uint8).reshape(-1, 16)

    def client(stream: PairStream) -> list[np.ndarray]:
        evaluated = OprfClient(stream, mine.digests, quiet)
        return [programmed(stream, evaluated, mine.digests, len(theirs), label=label) for label in ("a", "b")]

    def server(stream: PairStream) -> None:
        function = OprfServer(stream, len(mine), quiet)
        for label in ("a", "b"):
            program(stream, function, theirs.digests, values, label=label)

    streams = stream_pair()
    found, _ = run_both(streams, client, server)
    wanted = {key.tobytes(): value.tobytes() for key, value in zip(theirs.digests, values, strict=True)}
    common = np.array([key.tobytes() in wanted for key in mine.digests])
    assert common.sum() == 200
    for got in found:
        for key, value, same in zip(mine.digests, got, common, strict=True):
            assert (value.tobytes() == wanted.get(key.tobytes())) == same
    assert not np.any(np.all(found[0][~common] == found[1][~common], axis=1))
    tables = streams[1].sent[-2:]
    assert [len(table) for table in tables] == [table_bytes(1000)] * 2
    for table in tables:
        assert chisquare(np.bincount(np.frombuffer(table[8:], np.uint8), minlength=256)).pvalue > 1e-6


def test_a_table_of_another_size_is_named() -> None:
    mine = Keys(["a", "b"])
    streams = stream_pair()
    streams[1].tamper = lambda index, message: message[:-1] if index == 2 else message
    raised = run_both(
        streams,
        lambda stream: programmed(stream, OprfClient(stream, mine.digests, quiet), mine.digests, 2),
        lambda stream: program(stream, OprfServer(stream, 2, quiet), mine.digests, mine.digests),
        errors=True,
    )
    assert isinstance(raised[0], PsiFrameInvalid)
