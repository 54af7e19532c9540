# SPDX-License-Identifier: Apache-2.0
"""Dealing ahead of time between parties: the node that fills stores, and taking an execution from them.

The dealer is there for the first and need not be for the second. The evaluators settle which execution a node uses:
evaluator 1 says how far its store is used; evaluator 0 takes the larger of that and its own position, which marks the
execution as used on its disk, and then names it to evaluator 1, which does the same before either uses it. So a store
that is an older state of itself at one party does not lead to masks that are used again.
"""

from __future__ import annotations

import struct
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jali.core.errors import DealingMismatch, MalformedMessage
from jali.crypto.prg import Prg
from jali.devices.accounting import tell_seconds
from jali.mpc.dealing.manifest import deal, manifest_of
from jali.mpc.dealing.store import Header, Store, StoreWriter, store_path
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.mpc.dealing.manifest import Manifest
    from jali.mpc.dealing.store import Dealing
    from jali.mpc.ir import Program
    from jali.transport.channel import Stream

__all__ = ["DealAhead", "taken"]

EPOCH_WORDS = SEED_WORDS = 2
CORRECTIONS = "corrections"
AGREEMENT = "~execution"
_POSITION = struct.Struct("<16sQ")
_EXECUTION = struct.Struct("<Q")


class DealAhead:
    """The dealer runs its part of a program `count` times; the evaluators write what comes into their stores.

    Security: an evaluator's seeds are words that it shares with the dealer, from this session's keys; the rest is what
    it receives in any run. On the disk all of it is sealed under the party's own key.
    Cost: the corrections, from the dealer to evaluator 1.
    """

    name = "mpc.deal"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> None:
        """This party's part. Raises: WriteFailed, and what ends a session."""
        del inputs
        layout: Layout = attributes["device"]
        plan: Manifest = attributes["manifest"]
        count: int = attributes["count"]
        dealer: int = PROTOCOLS.get(layout.protocol).dealer
        context.dealt_bytes = count * plan.size_bytes
        if context.party == layout.roles[dealer]:
            started = time.perf_counter()
            _deal_all(context, layout, attributes["program"], count)
            tell_seconds(context, layout, time.perf_counter() - started)
            return
        role = layout.roles.index(context.party)
        header = Header(
            federation=attributes["federation"],
            party=context.party,
            role=role,
            evaluators=layout.evaluators,
            protocol=layout.protocol,
            manifest=plan.digest(),
            program=plan.name,
            epoch=context.prg(*layout.evaluators, label="epoch").words(0, EPOCH_WORDS).tobytes(),
            count=count,
        )
        _keep_all(context, layout, header, layout.roles[dealer])
        tell_seconds(context, layout, None)


def _deal_all(context: Context, layout: Layout, program: Program, count: int) -> None:
    seeds = {role: context.prg(context.party, party, label="seed") for role, party in enumerate(layout.evaluators)}
    stream = context.stream(layout.evaluators[1], CORRECTIONS)
    kind = PROTOCOLS.get(layout.protocol)
    for execution in range(count):
        prgs = {role: _generator(prg.words(execution, SEED_WORDS).tobytes()) for role, prg in seeds.items()}
        deal(program, kind(kind.dealer, prgs=prgs, streams={1: stream}))
        context.progress((execution + 1) / count, "dealt")


def _keep_all(context: Context, layout: Layout, header: Header, dealer: str) -> None:
    seeds = context.prg(context.party, dealer, label="seed")
    path = store_path(Path(layout.store), context.party, header.manifest)
    with StoreWriter(path, header) as writer:
        for execution in range(header.count):
            messages = _until_empty(context.stream(dealer, CORRECTIONS)) if header.role == 1 else iter(())
            writer.add(execution, seeds.words(execution, SEED_WORDS).tobytes(), messages)
        writer.commit()


def _until_empty(stream: Stream) -> Iterator[memoryview]:
    while True:
        message = stream.receive()
        if not message.nbytes:
            return
        yield message


def _generator(seed: bytes) -> Prg:
    return Prg(seed, label="dealt ahead")


@contextmanager
def taken(context: Context, layout: Layout, program: Program, *, federation: str) -> Iterator[Dealing]:
    """An execution that both evaluators have marked as used, for as long as the node runs.

    Cost: one small message each way.
    Raises: DealingMissing, DealingBroken, DealingCopied, DealingExhausted, DealingMismatch, DealingSpent.
    """
    plan = manifest_of(program, layout.protocol)
    role = layout.evaluators.index(context.party)
    peer = layout.evaluators[1 - role]
    stream = context.stream(peer, AGREEMENT)
    with Store(store_path(Path(layout.store), context.party, plan.digest()), context.party) as store:
        _check(store, layout, role=role, manifest=plan.digest(), federation=federation)
        if role == 1:
            stream.send(_POSITION.pack(store.header.epoch, store.position()))
            (execution,) = _unpacked(_EXECUTION, stream, peer)
            yield store.take(execution)
            return
        epoch, position = _unpacked(_POSITION, stream, peer)
        if epoch != store.header.epoch:
            raise DealingMismatch(
                f"the stores of {context.party!r} and {peer!r} for {plan.name!r} were not dealt together: deal_ahead "
                "ended at one of them and not at the other; run it again at all parties"
            )
        execution, dealing = store.take_next(position)
        stream.send(_EXECUTION.pack(execution))
        yield dealing


def _unpacked(form: struct.Struct, stream: Stream, peer: str) -> tuple[Any, ...]:
    message = stream.receive()
    if message.nbytes != form.size:
        raise MalformedMessage(f"expected {form.size} bytes about dealt executions, found {message.nbytes}", party=peer)
    return form.unpack(message)


def _check(store: Store, layout: Layout, *, role: int, manifest: bytes, federation: str) -> None:
    found = store.header
    for what, is_, wanted in (
        ("another program", found.manifest, manifest),
        (f"federation {found.federation!r}, not {federation!r}", found.federation, federation),
        (f"protocol {found.protocol!r}, not {layout.protocol!r}", found.protocol, layout.protocol),
        (f"the parties {', '.join(found.evaluators)}", found.evaluators, layout.evaluators),
        (f"{found.party!r}, not {layout.evaluators[role]!r}", found.party, layout.evaluators[role]),
    ):
        if is_ != wanted:
            raise DealingMismatch(
                f"{str(store.path)!r} was dealt for {what}; run deal_ahead again, with a store folder of its own"
            )
