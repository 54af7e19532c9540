# SPDX-License-Identifier: Apache-2.0
"""A program as devices build it: its graph, the parties that run here, and what was revealed to them."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from jali.core.errors import JaliError, UnknownParty, WouldDisclose
from jali.devices.arguments import bind
from jali.devices.doors import reveal_node
from jali.devices.handle import Handle, Placeholder
from jali.devices.report import Report, merge_rows
from jali.devices.revealed import Revealed
from jali.devices.roles import RoleParts
from jali.graph.fingerprint import constant_fingerprint, user_source
from jali.graph.node import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.core import config
    from jali.devices.arguments import Arguments
    from jali.graph.runtime import Runtime
    from jali.transport.network import Network

__all__ = ["Program"]


class Program:
    """What the devices of a federation share. Users hold a `Federation`; kinds of devices and operations use this."""

    def __init__(self, settings: config.Federation) -> None:
        """Empty; nothing runs until parties are hosted."""
        self.settings = settings
        self.parties: tuple[str, ...] = tuple(settings.parties)
        self.graph = Graph()
        self.stage = ""
        self.runtimes: dict[str, Runtime] = {}
        self._revealed = Revealed()
        self._dropped: collections.deque[Node] = collections.deque()
        self._closed = False

    def host(self, runtime: Runtime) -> None:
        """Run a party's part in this process."""
        self.runtimes[runtime.party] = runtime

    # -- nodes --------------------------------------------------------------------------------------------------
    def drop(self, node: Node) -> None:
        """A handle is gone (called by the garbage collector, hence only noted here)."""
        self._dropped.append(node)

    def append(self, operation: str, **parts: Any) -> Node:
        """Add a node to the program and start what can start; for the parts see `jali.graph.node.Graph.append`."""
        while self._dropped:
            dropped = self._dropped.popleft()
            for runtime in self.runtimes.values():
                runtime.release(dropped)
        node = self.graph.append(operation, source=user_source(), stage=self.stage, **parts)
        for runtime in self.runtimes.values():
            runtime.submit(node)
        return node

    def require_visible(self, node: Node, party: str, text: str) -> None:
        """Raise WouldDisclose if `text`, run at `party`, would show it a value that it may not see."""
        if node.visibility.to(party):
            return
        raise WouldDisclose(
            f"{text!r} at {party} would see {node.text!r}, which is {node.visibility} (made at {node.source}); "
            f"compute on an mpc device, or jali.reveal(x, to={party!r}) if {party} may see it",
            source=user_source(),
        )

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, tuple[Handle, ...], bytes]:
        """Arguments of a call, taken apart: see `jali.devices.arguments.bind`."""
        return bind(args, kwargs, self._revealed.handle)

    def require_party(self, name: str) -> str:
        """The name, if there is such a party. Raises: UnknownParty."""
        if name not in self.parties:
            known = ", ".join(self.parties)
            raise UnknownParty(f"no party {name!r} in the federation (known: {known}); add [parties.{name}]")
        return name

    def _targets(self, to: Any) -> tuple[str, ...]:
        if to == "all":
            return self.parties
        items: Sequence[Any] = to if isinstance(to, (list, tuple)) else [to]
        if not items:
            raise UnknownParty('a reveal must name who will see the value: a device, a party, a list of them, or "all"')
        names = [p for item in items for p in ([item] if isinstance(item, str) else item.parties)]
        return tuple(dict.fromkeys(self.require_party(name) for name in names))

    # -- values -------------------------------------------------------------------------------------------------
    def item(self, handle: Handle, path: tuple[int | str, ...]) -> Handle:
        """An element of a value, where the value is."""
        return handle.derived(("item", path), lambda: Handle(self, self._item_node(handle.node, path)))

    def _item_node(self, node: Node, path: tuple[int | str, ...]) -> Node:
        inherited = {"device": node.attributes["device"]} if "device" in node.attributes else {}
        return self.append(
            "item",
            device=node.device,
            participants=node.participants,
            inputs=(node,),
            attributes={"path": path, "by_role": RoleParts, **inherited},
            fingerprint=constant_fingerprint(list(path)),
            visibility=node.visibility,
            text=f"{node.text}{''.join(f'[{key!r}]' for key in path)}",
        )

    def results(self, node: Node, returns: Any) -> Any:
        """One handle, or as many as `returns` says."""
        handle = Handle(self, node)
        if returns is None:
            return handle
        if isinstance(returns, int):
            return tuple(handle[i] for i in range(returns))
        if isinstance(returns, tuple):
            return tuple(handle[i] for i in range(len(returns)))
        return handle

    # -- the only door out --------------------------------------------------------------------------------------
    def reveal(self, x: Handle | Placeholder, to: Any) -> Any:
        """See `jali.reveal`."""
        targets = self._targets(to)
        source = x.handle() if isinstance(x, Placeholder) else x
        ready = self._rounded(source)
        root = Handle(self, reveal_node(self, source.node, targets, ready=ready.node))
        for party in targets:
            if party in self.runtimes:
                value = self.runtimes[party].value(root.node)
                self._revealed.remember(value, root)
                return value
        return Placeholder(root, targets)

    def _rounded(self, source: Handle) -> Handle:
        """The value rounded as its device says, once however often it is revealed."""
        layout = source.node.attributes.get("device")
        if layout is None or layout.kind != "mpc" or layout.numbers.rounding != "exact":
            return source
        from jali.devices.moves import round_node

        return source.derived("rounded", lambda: Handle(self, round_node(self, source.node)))

    # -- what it does and what it cost --------------------------------------------------------------------------
    def report(self, *, predicted: bool = True, network: str | Network | None = None) -> Report:
        """See `jali.Federation.report`."""
        from jali.devices.predict import Prediction, notes, predict, trust

        for runtime in self.runtimes.values():
            runtime.settle()
        records = [runtime.records for runtime in self.runtimes.values()]
        outlines = {i: r.outline for records_ in records for i, r in records_.items() if r.outline is not None}
        count = len(self.graph.nodes)
        title = f"Program of {count} nodes at {', '.join(self.runtimes)}"
        if not self.runtimes:
            title = f"Plan of {count} nodes for {', '.join(self.parties)}; nothing has run"
        planned = predict(self.graph.nodes, outlines, network=network) if predicted else Prediction({}, ())
        return Report(
            title=title,
            parties=self.parties,
            rows=merge_rows(self.graph.nodes, records, planned.costs),
            trust=trust(self.graph.nodes),
            ranges=planned.ranges,
            chosen=planned.chosen,
            timing=notes(self.graph.nodes, planned.costs, network) if predicted else (),
        )

    # -- the end ------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Wait for everything that runs, agree that the program has ended, and close the sessions."""
        if self._closed:
            return
        self._closed = True
        errors = []
        for runtime in self.runtimes.values():
            runtime.end()
        for runtime in self.runtimes.values():
            try:
                runtime.finish()
            except JaliError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def abandon(self, error: JaliError) -> None:
        """End the run at every party under this error."""
        self._closed = True
        for runtime in self.runtimes.values():
            runtime.fail(error)
        for runtime in self.runtimes.values():
            runtime.close()
