# SPDX-License-Identifier: Apache-2.0
"""One party's execution of a program as a sans-IO state machine: events in, actions out, no threads, no sockets.

Agreement. A node of several parties starts at a party only when every other participant has announced the same
*chain* (a digest over its whole program so far) at that position. Announcements carry what nodes they cover, so the
first difference is named with both source lines, at whichever party reaches it first.

Progress. Joint nodes start in program order within a window; the earliest unfinished joint node of the whole
federation is therefore always startable at all its participants, so programs cannot deadlock. A party that waits for
an announcement longer than its deadline names the party that is behind and where that party was last seen.
"""

from __future__ import annotations

import msgspec

from jali.core.errors import JaliError, PartyStalled, PeerError, ProgramMismatch
from jali.graph.node import Node

__all__ = ["Action", "Announce", "Announcement", "Drop", "Machine", "Release", "Start", "Step"]

END = "the end of the program"


class Step(msgspec.Struct, frozen=True, array_like=True):
    """What others are told of one node: its identity, text and source line."""

    id: bytes
    text: str
    source: str


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """A party's program from node `first` on; `final` when the program has ended."""

    first: int
    steps: tuple[Step, ...]
    final: bool = False


class Announce(msgspec.Struct, frozen=True):
    """Action: tell `party` of the next part of our program."""

    party: str
    announcement: Announcement


class Start(msgspec.Struct, frozen=True):
    """Action: run our part of this node now."""

    node: Node


class Release(msgspec.Struct, frozen=True):
    """Action: forget the value of this node."""

    node: Node


class Drop(msgspec.Struct, frozen=True):
    """Action: give up, under this error."""

    error: JaliError


Action = Announce | Start | Release | Drop


class Machine:
    """The state of one party's run. Every method is an event and returns the actions that follow from it."""

    def __init__(self, party: str, *, deadline_s: float, window: int = 16) -> None:
        """`deadline_s` bounds the wait for a peer at one node; `window` the joint nodes that may run at once."""
        self.party = party
        self.error: JaliError | None = None
        self._deadline_s = deadline_s
        self._window = window
        self._nodes: list[Node] = []
        self._waiting: dict[int, Node] = {}
        self._running: dict[int, Node] = {}
        self._done: set[int] = set()
        self._joint: list[int] = []
        self._joint_done = 0
        self._heard: dict[str, list[Step]] = {}
        self._ended: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._since: dict[int, float] = {}
        self._users: dict[int, int] = {}
        self._held: set[int] = set()
        self._missing: dict[int, int] = {}
        self._dependents: dict[int, list[Node]] = {}
        self._local: list[Node] = []
        self._since_end: float | None = None

    # -- events -------------------------------------------------------------------------------------------------
    def submitted(self, node: Node, now: float) -> list[Action]:
        """The program (here) came to `node`."""
        self._nodes.append(node)
        actions: list[Action] = []
        for peer in self._heard:
            actions += self._compare(peer, node.index)
        if self.party not in node.participants:
            return actions
        self._held.add(node.index)
        missing = 0
        for used in self._own_inputs(node):
            self._users[used.index] = self._users.get(used.index, 0) + 1
            if used.index not in self._done:
                missing += 1
                self._dependents.setdefault(used.index, []).append(node)
        self._missing[node.index] = missing
        self._waiting[node.index] = node
        self._since[node.index] = now
        if len(node.participants) > 1:
            self._joint.append(node.index)
            actions += [self._announce(peer) for peer in node.participants if peer != self.party]
        elif not missing:
            self._local.append(node)
        return actions + self._startable()

    def announced(self, peer: str, announcement: Announcement) -> list[Action]:
        """`peer` told us a part of its program."""
        steps = self._heard.setdefault(peer, [])
        first = len(steps)
        if announcement.first != first:
            return self.failed(PeerError(f"{peer!r} announced node {announcement.first}, expected {first}", party=peer))
        steps.extend(announcement.steps)
        if announcement.final:
            self._ended[peer] = len(steps)
        actions: list[Action] = []
        for index in range(first, len(steps)):
            actions += self._compare(peer, index)
        if announcement.final:
            actions += self._compare(peer, len(steps))
        return actions + self._startable()

    def finished(self, node: Node) -> list[Action]:
        """Our part of `node` is done and its value is stored."""
        del self._running[node.index]
        self._done.add(node.index)
        for dependent in self._dependents.pop(node.index, ()):
            self._missing[dependent.index] -= 1
            if not self._missing[dependent.index] and len(dependent.participants) == 1:
                self._local.append(dependent)
        actions: list[Action] = []
        for used in self._own_inputs(node):
            self._users[used.index] -= 1
            actions += self._releasable(used)
        while self._joint_done < len(self._joint) and self._joint[self._joint_done] in self._done:
            self._joint_done += 1
        return actions + self._releasable(node) + self._startable()

    def released(self, node: Node) -> list[Action]:
        """The program dropped its last handle on `node`'s value."""
        self._held.discard(node.index)
        return self._releasable(node)

    def failed(self, error: JaliError) -> list[Action]:
        """Something went wrong, here or elsewhere: the first error ends the run."""
        if self.error is not None:
            return []
        self.error = error
        self._waiting.clear()
        self._local.clear()
        return [Drop(error)]

    def ended(self, now: float) -> list[Action]:
        """The program (here) has come to its end: tell all who shared a node with it."""
        self._since_end = now
        return [self._announce(peer, final=True) for peer in tuple(self._told)]

    def tick(self, now: float) -> list[Action]:
        """Time has passed: does a node wait too long for a peer?"""
        for index, node in self._waiting.items():
            if now - self._since[index] < self._deadline_s or self._missing[index]:
                continue
            for peer in node.participants:
                if peer != self.party and len(self._heard.get(peer, ())) <= index:
                    return self.failed(self._stalled(peer, node))
        if self._since_end is not None and now - self._since_end >= self._deadline_s:
            for peer in self._told:
                if peer not in self._ended:
                    return self.failed(self._stalled(peer, None))
        return []

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not self._waiting

    @property
    def complete(self) -> bool:
        """Whether the program has ended here and at all who shared a node with it."""
        return self._since_end is not None and all(peer in self._ended for peer in self._told)

    # -- rules --------------------------------------------------------------------------------------------------
    def _startable(self) -> list[Action]:
        if self.error is not None:
            return []
        ready, self._local = self._local, []
        for index in self._joint[self._joint_done : self._joint_done + self._window]:
            node = self._waiting.get(index)
            if node is not None and not self._missing[index] and self._agreed(node):
                ready.append(node)
        for node in ready:
            del self._waiting[node.index], self._since[node.index], self._missing[node.index]
            self._running[node.index] = node
        return [Start(node) for node in ready]

    def _agreed(self, node: Node) -> bool:
        return all(len(self._heard.get(p, ())) > node.index for p in node.participants if p != self.party)

    def _own_inputs(self, node: Node) -> list[Node]:
        return [used for used in node.inputs if self.party in used.participants]

    def _releasable(self, node: Node) -> list[Action]:
        index = node.index
        if index in self._held or index not in self._done or self._users.get(index, 0) > 0:
            return []
        return [Release(node)]

    def _announce(self, peer: str, *, final: bool = False) -> Announce:
        first = self._told.get(peer, 0)
        self._told[peer] = len(self._nodes)
        steps = tuple(Step(node.id, node.text, node.source) for node in self._nodes[first:])
        return Announce(peer, Announcement(first, steps, final))

    def _compare(self, peer: str, index: int) -> list[Action]:
        theirs = self._heard[peer]
        mine = self._nodes[index] if index < len(self._nodes) else None
        other = theirs[index] if index < len(theirs) else None
        if mine is not None and other is not None and mine.id != other.id:
            return self.failed(self._mismatch(peer, mine, other.text, other.source))
        if mine is not None and other is None and self._ended.get(peer) == index:
            return self.failed(self._mismatch(peer, mine, END, "?"))
        return []

    def _mismatch(self, peer: str, mine: Node, text: str, source: str) -> ProgramMismatch:
        return ProgramMismatch(
            f"the programs differ from node #{mine.index} on: {self.party!r} runs {mine.text!r} ({mine.source}), "
            f"{peer!r} runs {text!r} ({source}); run the same program at every party",
            party=peer,
            node=mine.name,
            source=mine.source,
        )

    def _stalled(self, peer: str, node: Node | None) -> PartyStalled:
        seen = self._heard.get(peer, [])
        last = f"{seen[-1].text!r} ({seen[-1].source})" if seen else "nothing"
        return PartyStalled(
            f"{peer!r} did not come to {repr(node.text) if node else END} within {self._deadline_s:g} s; it was last "
            f"seen at {last}. Look there, or raise network.node_s in the federation file",
            party=peer,
            node=node.name if node else None,
            source=node.source if node else None,
        )
