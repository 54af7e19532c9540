# SPDX-License-Identifier: Apache-2.0
"""What is dealt: the same list at every role, equal to what goes over the wire; and programs dealt apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import ProtocolUseError
from jali.core.threat import Dealt
from jali.crypto.prg import Prg
from jali.mpc.cost.estimate import transcribe
from jali.mpc.dealing.manifest import deal, manifest_of, run_apart
from jali.mpc.engine import SecretArray, compile_function, estimate_program, reveal_outputs, type_of
from jali.mpc.fixed import encode
from jali.mpc.m2k.protocol import M2k
from jali.mpc.m2k.sides import PIECE_BYTES
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive, lockstep, parallel
from tests.mpc.operations import OPERATIONS, on_inputs
from tests.mpc.roles import DEALT, make_sides, run_threads
from tests.protocol.uniformity import contrasts, differing, noting, suspicious

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

N = 640


@pytest.mark.parametrize("protocol", DEALT)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_role_knows_what_is_dealt_and_that_is_what_is_sent(protocol: str, name: str) -> None:
    x, y = np.random.default_rng(0).integers(-(2**28), 2**28, (2, N)).view(np.uint64)
    sides: list[Any] = []

    def operation(side: Any) -> Part:
        sides.append(side)
        return on_inputs(name, x, y, (N,))(side)

    _, streams = run_threads(protocol, operation)
    planned = transcribe(protocol, on_inputs(name, None, None, (N,)))
    assert {side.dealt for side in sides} == {planned.dealt}
    sent = streams[2][1].counters.bytes_sent
    assert sum(items.size_bytes for items in planned.dealt) == sent == planned.cost.offline_bytes > 0


def test_an_item_names_the_operation_that_it_is_for() -> None:
    kinds = {item.kind for item in transcribe("m2k", on_inputs("select", None, None, (N,))).dealt}
    assert kinds == {"borrowed", "compared", "level", "mul", "select"}
    [product] = transcribe("m2k", on_inputs("mul", None, None, (N,))).dealt
    assert str(product) == f"1 mul[{N}]: {8 * N:,} bytes"
    assert product == Dealt(kind="mul", shape=(N,))


def test_protocols_without_a_dealer_are_dealt_nothing() -> None:
    assert transcribe("rep3", on_inputs("sign", None, None, (N,))).dealt == ()
    assert transcribe("plain", on_inputs("sign", None, None, (N,))).dealt == ()


# -- manifests ------------------------------------------------------------------------------------------------------


def model(x: Any, y: Any, chosen: Any) -> Any:
    import jax.numpy as jnp

    return {"best": jnp.where(chosen, jnp.maximum(x, y), x * y), "both": chosen & (x < y), "sum": x + 1}


TYPES = [np.zeros(70), np.zeros(70), np.zeros(70, np.bool_)]


def compiled(function: Any = model, *, keywords: Any = None) -> Any:
    return compile_function(function, [type_of(value) for value in TYPES], keywords=keywords)


def test_a_manifest_is_the_dealers_part_of_a_program() -> None:
    program = compiled()
    plan = manifest_of(program, "m2k")
    assert plan is manifest_of(program, "m2k")
    assert plan.size_bytes == sum(item.size_bytes for item in plan.items)
    # Inputs that are masked already save openings online, and change nothing of what is dealt here.
    assert plan.size_bytes == estimate_program(program, "m2k").offline_bytes
    assert str(plan).splitlines()[0] == f"model under m2k: {plan.size_bytes:,} bytes for each execution"
    assert len(str(plan).splitlines()) == 1 + len(plan.items)


def test_what_differs_has_another_digest() -> None:
    program = compiled()
    digests = {manifest_of(program, protocol).digest() for protocol in DEALT}

    def other(x: Any, y: Any, chosen: Any) -> Any:
        return model(x, y, chosen)["best"] * 2

    digests.add(manifest_of(compiled(other), "m2k").digest())
    assert len(digests) == 3


@pytest.mark.parametrize("protocol", DEALT)
@pytest.mark.parametrize("owner", [0, 1, 3])
def test_a_program_apart_runs_on_what_was_dealt_before_anybody_had_data(protocol: str, owner: int) -> None:
    program = compiled()
    rng = np.random.default_rng(5)
    data: list[Any] = [rng.normal(size=70), rng.normal(size=70), rng.integers(0, 2, 70).astype(np.bool_)]
    words = [
        encode(value, kind=t.kind, fraction=t.fraction) for value, t in zip(data, program.input_types, strict=True)
    ]
    words[2] = np.packbits(np.pad(data[2], (0, 58)), bitorder="little").view(np.uint64)
    sides, streams = make_sides(protocol, guest=True)
    deal(program, sides[2])
    sides[1].prefetch()

    def operation(side: Any) -> Part:
        shares = []
        for value, kind in zip(words, program.input_types, strict=True):
            given = value if side.role == owner else None
            shares.append((yield from side.scatter(given, owner, kind.shape, bits=kind.kind == "bool")))
        if side.role == 3:
            return None
        results = yield from run_apart(program, side, shares)
        secrets = [SecretArray(share, kind) for share, kind in zip(results, program.output_types, strict=True)]
        return (yield from reveal_outputs(side, secrets, to=[0]))

    roles = [0, 1, 3] if owner == 3 else [0, 1]
    best, both, total = lockstep({role: operation(sides[role]) for role in roles})[0]
    for role in (0, 1):
        sides[role].finish()
    assert streams[2][1].counters.bytes_sent == manifest_of(program, protocol).size_bytes
    x, y, chosen = data
    np.testing.assert_allclose(best, np.where(chosen, np.maximum(x, y), x * y), atol=1e-4)
    np.testing.assert_array_equal(both, chosen & (x < y))
    np.testing.assert_allclose(total, x + 1, atol=1e-4)


def test_what_evaluators_see_of_a_program_apart_is_uniform() -> None:
    """Their inputs, opened under masks of the execution's own, tell nothing; whatever the secrets are."""

    def chosen(x: Any, y: Any, z: Any) -> Any:
        import jax.numpy as jnp

        return jnp.where(x < y, x * y, z * 1.0)

    types = (type_of(np.zeros(N)), type_of(np.zeros(N)), type_of(np.zeros(N, np.bool_)))
    program = compile_function(chosen, types)

    def view(words: Any, seed: int) -> dict[int, list[Any]]:
        sides, streams = make_sides("m2k", seed=seed)
        deal(program, sides[2])
        seen: dict[int, list[Any]] = {0: [], 1: []}
        corrections: Any = streams[1][2]
        corrections.receive = noting(corrections.receive, seen[1])

        def operation(side: Any) -> Part:
            shares = yield from parallel(
                *(side.scatter(words[k] if side.role == k % 2 else None, k % 2, (N,), bits=k == 2) for k in range(3))
            )
            yield from run_apart(program, side, shares)

        def observe(rounds: Any) -> None:
            for sender in sorted(rounds):
                for receiver, arrays in rounds[sender].send.items():
                    seen[receiver].extend(array.reshape(-1).copy() for array in arrays)

        lockstep({role: operation(sides[role]) for role in (0, 1)}, observe=observe)
        return seen

    zeros = [np.zeros(N, np.uint64), np.zeros(N, np.uint64), np.zeros(N // 64, np.uint64)]
    others = [np.arange(N, dtype=np.uint64), np.full(N, 2**40, np.uint64), ~np.zeros(N // 64, np.uint64)]
    first, second = ([view(words, seed + 1000 * k) for seed in range(24)] for k, words in enumerate((zeros, others)))
    for role in (0, 1):
        one, two = (list(contrasts([run[role] for run in runs])) for runs in (first, second))
        assert len(one) > 10
        assert suspicious(one) == suspicious(two) == []
        assert differing([(what, a, b) for (what, a), (_, b) in zip(one, two, strict=True)]) == []


def test_scattering_costs_evaluators_nothing() -> None:
    def operation(side: Any) -> Part:
        return (yield from side.scatter(None, 1, (N,)))

    def of_guest(side: Any) -> Part:
        return (yield from side.scatter(None, 3, (N,), bits=True))

    assert transcribe("m2k", operation).cost.rounds == 0
    assert sum(transcribe("m2k", operation).cost.bytes_sent.values()) == 0
    assert transcribe("m2k", of_guest, guest=of_guest).cost.bytes_sent["guest"] == N // 8


def test_an_evaluator_without_a_dealer_cannot_be_dealt_anything() -> None:
    side: Any = M2k(0, prgs={1: Prg(bytes(16))}, streams={})
    x = drive(side.scatter(np.zeros(3, np.uint64), 0, (3,)), {})
    with pytest.raises(ProtocolUseError, match="evaluator 0 shares no generator with a dealer"):
        drive(side.mul(x, x), {})


# -- corrections in pieces ------------------------------------------------------------------------------------------


def test_large_corrections_travel_in_pieces() -> None:
    """What evaluator 1 must keep of them unread is bounded by its window, not by the largest array."""
    n = PIECE_BYTES // 8 * 2 + 7

    def operation(side: Any) -> Part:
        x = yield from side.input(np.arange(n, dtype=np.uint64) if side.role == 0 else None, 0, (n,))
        small = side.linear(lambda a: a[:3].copy(), x, shape=(3,))
        first = yield from side.mul(small, small)
        product = yield from side.mul(x, x)
        last = yield from side.mul(small, small)
        parts = [side.linear(lambda a: a[-3:].copy(), product, shape=(3,)), first, last]
        return (yield from parallel(*(side.reveal(part, [0]) for part in parts)))

    results, streams = run_threads("m2k", operation)
    tail = np.arange(n - 3, n, dtype=np.uint64)
    for found, expected in zip(results[0], (tail * tail, [0, 1, 4], [0, 1, 4]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert streams[2][1].counters.messages_sent == 4, "with the first piece, the second, the rest, and the end"


def test_registered_protocols_say_who_owns_and_who_deals() -> None:
    found = {name: (kind.owners, kind.dealer) for name in PROTOCOLS.names() for kind in [PROTOCOLS.get(name)]}
    assert found["m2k"] == ((0, 1), 2)
    assert found["m3k"] == ((0, 1, 2), 2)
    assert found["rep3"] == found["aby3"] == ((0, 1, 2), None)
    assert found["plain"] == ((0,), None)
