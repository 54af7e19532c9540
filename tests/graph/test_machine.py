# SPDX-License-Identifier: Apache-2.0
"""The executor's state machine: agreement, order, release, stalls; random programs cannot deadlock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import PartyStalled, PeerError, ProgramMismatch
from jali.graph.machine import Action, Announce, Announcement, Drop, Machine, Release, Start, Step
from jali.graph.node import Graph, Node, Visibility

if TYPE_CHECKING:
    from collections.abc import Iterable


def add(graph: Graph, text: str, *participants: str, inputs: tuple[Node, ...] = (), source: str = "job.py:1") -> Node:
    return graph.append(
        "test",
        device="d",
        participants=participants,
        inputs=inputs,
        attributes={},
        fingerprint=text.encode(),
        visibility=Visibility("public"),
        text=text,
        source=source,
    )


def machine(party: str) -> Machine:
    return Machine(party, deadline_s=10.0)


def of_type(actions: Iterable[Action], kind: type) -> list[Action]:
    return [action for action in actions if isinstance(action, kind)]


def test_local_node_starts_at_once_and_is_released_with_its_handle() -> None:
    graph, alice = Graph(), machine("alice")
    node = add(graph, "load", "alice")
    assert alice.submitted(node, 0.0) == [Start(node)]
    assert alice.finished(node) == []
    assert alice.released(node) == [Release(node)]


def test_value_is_kept_for_a_later_use_after_its_handle_is_gone() -> None:
    graph, alice = Graph(), machine("alice")
    first = add(graph, "load", "alice")
    second = add(graph, "use", "alice", inputs=(first,))
    alice.submitted(first, 0.0)
    alice.submitted(second, 0.0)
    assert alice.released(first) == []
    assert alice.finished(first) == [Start(second)]
    assert alice.finished(second) == [Release(first)]


def test_joint_node_waits_for_the_peer_to_come_to_it() -> None:
    graph, alice = Graph(), machine("alice")
    node = add(graph, "align", "alice", "bob")
    actions = alice.submitted(node, 0.0)
    assert of_type(actions, Start) == []
    [announce] = of_type(actions, Announce)
    assert isinstance(announce, Announce)
    assert announce.party == "bob"
    theirs = machine("bob").submitted(node, 0.0)[0]
    assert isinstance(theirs, Announce)
    assert alice.announced("bob", theirs.announcement) == [Start(node)]


def test_first_difference_is_named_with_both_parties_and_lines() -> None:
    mine, theirs, alice, bob = Graph(), Graph(), machine("alice"), machine("bob")
    for graph, party in ((mine, alice), (theirs, bob)):
        party.submitted(add(graph, "load", "carol"), 0.0)
    alice.submitted(add(mine, "train", "carol", source="job.py:7"), 0.0)
    bob.submitted(add(theirs, "train2", "carol", source="job.py:8"), 0.0)
    alice.submitted(add(mine, "sum", "alice", "bob"), 0.0)
    announce = of_type(bob.submitted(add(theirs, "sum", "alice", "bob"), 0.0), Announce)[0]
    assert isinstance(announce, Announce)
    [drop] = alice.announced("bob", announce.announcement)
    assert isinstance(drop, Drop)
    assert isinstance(drop.error, ProgramMismatch)
    for part in ("'alice'", "'bob'", "#1", "'train'", "'train2'", "job.py:7", "job.py:8"):
        assert part in str(drop.error)


def test_a_program_that_ends_early_is_a_mismatch() -> None:
    graph, alice = Graph(), machine("alice")
    alice.announced("bob", Announcement(0, (), final=True))
    actions = alice.submitted(add(graph, "align", "alice", "bob"), 0.0)
    [drop] = of_type(actions, Drop)
    assert isinstance(drop, Drop)
    assert "the end of the program" in str(drop.error)


def test_a_gap_in_the_announcements_is_an_error() -> None:
    [drop] = machine("alice").announced("bob", Announcement(3, ()))
    assert isinstance(drop, Drop)
    assert isinstance(drop.error, PeerError)


def test_a_party_that_does_not_come_is_named_with_the_place_where_it_was_seen() -> None:
    graph, alice = Graph(), machine("alice")
    node = add(graph, "align", "alice", "bob")
    alice.submitted(node, 0.0)
    assert alice.tick(9.9) == []
    [drop] = alice.tick(10.1)
    assert isinstance(drop, Drop)
    assert isinstance(drop.error, PartyStalled)
    assert "'bob'" in str(drop.error)
    assert "last seen at nothing" in str(drop.error)


def test_a_run_is_complete_when_it_has_ended_at_all_who_shared_a_node() -> None:
    graph, alice, bob = Graph(), machine("alice"), machine("bob")
    node = add(graph, "align", "alice", "bob")
    told = [of_type(party.submitted(node, 0.0), Announce)[0] for party in (alice, bob)]
    assert isinstance(told[1], Announce)
    alice.announced("bob", told[1].announcement)
    alice.finished(node)
    assert [action.party for action in alice.ended(1.0) if isinstance(action, Announce)] == ["bob"]
    assert not alice.complete
    assert alice.tick(10.9) == []
    assert alice.announced("bob", Announcement(1, (), final=True)) == []
    assert alice.complete


def test_a_peer_that_never_ends_is_named() -> None:
    graph, alice = Graph(), machine("alice")
    alice.submitted(add(graph, "align", "alice", "bob"), 0.0)
    alice.announced("bob", Announcement(0, tuple(Step(n.id, n.text, n.source) for n in graph.nodes)))
    alice.ended(1.0)
    [drop] = alice.tick(11.1)
    assert isinstance(drop, Drop)
    assert "'bob' did not come to the end of the program" in str(drop.error)


def test_only_the_first_error_counts_and_nothing_starts_after_it() -> None:
    graph, alice = Graph(), machine("alice")
    first, second = PeerError("first"), PeerError("second")
    assert alice.failed(first) == [Drop(first)]
    assert alice.failed(second) == []
    assert alice.error is first
    assert of_type(alice.submitted(add(graph, "load", "alice"), 0.0), Start) == []


def test_identical_calls_are_different_nodes() -> None:
    graph = Graph()
    assert add(graph, "draw", "alice").id != add(graph, "draw", "alice").id


PARTIES = ("a", "b", "c")


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    size = draw(st.integers(1, 40))
    nodes = []
    for index in range(size):
        participants = draw(st.lists(st.sampled_from(PARTIES), min_size=1, max_size=3, unique=True))
        inputs = draw(st.lists(st.integers(0, index - 1), max_size=3, unique=True)) if index else []
        nodes.append((tuple(participants), tuple(inputs)))
    return nodes


@given(programs(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_random_programs_run_to_their_end_whatever_the_order_of_events(
    program: list[tuple[tuple[str, ...], tuple[int, ...]]], chance: object, window: int
) -> None:
    """Joint nodes finish together (as protocols do), announcements arrive late, in any interleaving of parties."""
    choose = chance.randrange  # type: ignore[attr-defined]
    machines = {p: Machine(p, deadline_s=1e9, window=window) for p in PARTIES}
    graphs = {p: Graph() for p in PARTIES}
    mail: dict[tuple[str, str], deque[Announcement]] = {(p, q): deque() for p in PARTIES for q in PARTIES if p != q}
    running: dict[str, dict[int, Node]] = {p: {} for p in PARTIES}
    done: dict[str, int] = dict.fromkeys(PARTIES, 0)

    def apply(party: str, actions: list[Action]) -> None:
        for action in actions:
            assert not isinstance(action, Drop), action
            if isinstance(action, Announce):
                mail[party, action.party].append(action.announcement)
            elif isinstance(action, Start):
                running[party][action.node.index] = action.node

    def moves() -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = [(p, "submit") for p in PARTIES if len(graphs[p].nodes) < len(program)]
        found += [(q, (p, q)) for (p, q), letters in mail.items() if letters]
        for index, (participants, _) in enumerate(program):
            if all(index in running[p] for p in participants):
                found.append((participants[0], index))
        return found

    while options := moves():
        party, what = options[choose(len(options))]
        if what == "submit":
            graph = graphs[party]
            participants, inputs = program[len(graph.nodes)]
            node = add(graph, f"n{len(graph.nodes)}", *participants, inputs=tuple(graph.nodes[i] for i in inputs))
            apply(party, machines[party].submitted(node, 0.0))
        elif isinstance(what, tuple):
            apply(party, machines[party].announced(what[0], mail[what].popleft()))
        else:
            assert isinstance(what, int)
            for each in program[what][0]:
                node = running[each].pop(what)
                done[each] += 1
                apply(each, machines[each].finished(node))
    for party in PARTIES:
        assert machines[party].idle
        assert done[party] == sum(party in participants for participants, _ in program)


@pytest.mark.parametrize("window", [1, 16])
def test_window_bounds_the_joint_nodes_that_run_at_once(window: int) -> None:
    graph, alice, bob = Graph(), Machine("alice", deadline_s=1.0, window=window), machine("bob")
    started = 0
    for index in range(20):
        node = add(graph, f"n{index}", "alice", "bob")
        announce = of_type(bob.submitted(node, 0.0), Announce)[0]
        assert isinstance(announce, Announce)
        started += len(of_type(alice.announced("bob", announce.announcement), Start))
        started += len(of_type(alice.submitted(node, 0.0), Start))
    assert started == window
