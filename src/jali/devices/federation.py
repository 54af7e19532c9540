# SPDX-License-Identifier: Apache-2.0
"""A federation as a program sees it: its parties' devices, the doors between them, and what a run has cost.

One engine serves a notebook (`simulate`: all parties in this process), processes on one machine and institutions
(`connect`: one party a process). The program, the cryptography and the agreement between parties are the same.
"""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Any, Final

from jali.core.errors import JaliError, ProgramFailed, UnknownDevice, UnknownParty, WouldDisclose
from jali.core.registry import Registry
from jali.devices.arguments import bind
from jali.devices.doors import reveal_node
from jali.devices.handle import Handle, Placeholder
from jali.devices.mpc import MpcDevice
from jali.devices.plain import PlainDevice
from jali.devices.report import Report, merge_rows
from jali.devices.revealed import Revealed
from jali.devices.roles import RoleParts
from jali.graph.fingerprint import constant_fingerprint, user_source
from jali.graph.node import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from jali.core import config
    from jali.devices.arguments import Arguments
    from jali.graph.runtime import Runtime

__all__ = ["KINDS", "Federation", "failure"]

KINDS: Final[Registry] = Registry(
    "jali.devices", builtin={"plain": "jali.devices.plain:PlainDevice", "mpc": "jali.devices.mpc:MpcDevice"}
)
Device = Any  # what a device kind makes: callable on functions, with `kind`, `name`, `parties`


class Federation:
    """Devices, reveals and reports of one program. Close it at the end (it is a context manager)."""

    def __init__(self, settings: config.Federation) -> None:
        """Made by `jali.simulate`, `jali.connect` and `jali.explain`; nothing runs until parties are hosted."""
        self.settings = settings
        self.parties: tuple[str, ...] = tuple(settings.parties)
        self.graph = Graph()
        self._runtimes: dict[str, Runtime] = {}
        self._revealed = Revealed()
        self._dropped: collections.deque[Node] = collections.deque()
        self._stage = ""
        self._closed = False

    # -- devices ------------------------------------------------------------------------------------------------
    def plain(self, party: str) -> PlainDevice:
        """The plain device of `party`."""
        return PlainDevice(self, self.party(party), party)

    def mpc(
        self,
        *parties: str,
        protocol: str | None = None,
        dealer: str | None = None,
        insecure_dealer: str | None = None,
    ) -> MpcDevice:
        """An MPC device of `parties`: two with a dealer (`m2k`) or three (`rep3`) unless `protocol` says otherwise.

        `dealer` defaults to the federation's helper party. A party of the device may deal only as
        `insecure_dealer`: it could then read every secret.
        """
        for party in (*parties, *(p for p in (dealer, insecure_dealer) if p)):
            self.party(party)
        return MpcDevice.make(self, parties, protocol=protocol, dealer=dealer, insecure_dealer=insecure_dealer)

    def device(self, name: str) -> Device:
        """The device of that name in the federation file."""
        found = self.settings.devices.get(name)
        if found is None:
            known = ", ".join(self.settings.devices) or "none"
            raise UnknownDevice(f"no device {name!r} in the federation file (known: {known}); add [devices.{name}]")
        device: Device = KINDS.get(found.kind).from_settings(self, name, found)
        return device

    def devices(self, template: str) -> list[Device]:
        """All devices ``template[0]``, ``template[1]``, … of the federation file, in order."""
        names = [name for name in self.settings.devices if name.startswith(f"{template}[")]
        if not names:
            raise UnknownDevice(f"no devices {template}[...] in the federation file")
        return [self.device(name) for name in names]

    @property
    def hosted(self) -> tuple[str, ...]:
        """The parties whose part runs in this process."""
        return tuple(self._runtimes)

    def host(self, runtime: Runtime) -> None:
        """Run a party's part in this process."""
        self._runtimes[runtime.party] = runtime

    def runtime(self, party: str) -> Runtime:
        """The runtime of a hosted party."""
        return self._runtimes[party]

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Group the nodes made inside under a name, for progress and reports."""
        before, self._stage = self._stage, name
        try:
            yield
        finally:
            self._stage = before

    # -- values ----------------------------------------------------------------------------------------------------
    def item(self, handle: Handle, path: tuple[int | str, ...]) -> Handle:
        """An element of a value, where the value is."""
        return handle.derived(("item", path), lambda: Handle(self, self._item_node(handle.node, path)))

    def _item_node(self, node: Node, path: tuple[int | str, ...]) -> Node:
        inherited = {key: node.attributes[key] for key in ("device", "to") if key in node.attributes}
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
        root = Handle(self, reveal_node(self, source.node, targets))
        for party in targets:
            if party in self._runtimes:
                value = self._runtimes[party].value(root.node)
                self._revealed.remember(value, root)
                return value
        return Placeholder(root, targets)

    # -- what it does and what it cost --------------------------------------------------------------------------
    def report(self, *, predicted: bool = True) -> Report:
        """What ran so far: nodes, who learned what, bytes, rounds and seconds of the parties hosted here.

        With `predicted`, what MPC nodes should have cost stands beside it (the program is priced again: that takes
        about as long as its Python did).
        """
        from jali.devices.predict import predict, trust

        for runtime in self._runtimes.values():
            runtime.settle()
        records = [runtime.records for runtime in self._runtimes.values()]
        outlines = {i: r.outline for records_ in records for i, r in records_.items() if r.outline is not None}
        planned = predict(self.graph.nodes, outlines) if predicted else {}
        return Report(
            title=f"Program of {len(self.graph.nodes)} nodes at {', '.join(self._runtimes) or 'nobody'}",
            parties=self.parties,
            rows=merge_rows(self.graph.nodes, records, planned),
            trust=trust(self.graph.nodes),
        )

    # -- bookkeeping --------------------------------------------------------------------------------------------
    def drop(self, node: Node) -> None:
        """A handle is gone (called by the garbage collector, hence only noted here)."""
        self._dropped.append(node)

    def append(self, operation: str, **parts: Any) -> Node:
        """Add a node to the program and start what can start; for the parts see `jali.graph.node.Graph.append`."""
        while self._dropped:
            dropped = self._dropped.popleft()
            for runtime in self._runtimes.values():
                runtime.release(dropped)
        node = self.graph.append(operation, source=user_source(), stage=self._stage, **parts)
        for runtime in self._runtimes.values():
            runtime.submit(node)
        return node

    def require_visible(self, node: Node, party: str, text: str) -> None:
        """Raise WouldDisclose if `text`, run at `party`, would show it a value that it may not see."""
        seen = node.visibility
        holders = {seen.owner, *node.attributes.get("to", ())}
        if seen.kind == "public" or (seen.kind == "private" and party in holders):
            return
        raise WouldDisclose(
            f"{text!r} at {party} would see {node.text!r}, which is {seen} (made at {node.source}); "
            f"compute on an mpc device, or jali.reveal(x, to={party!r}) if {party} may see it",
            source=user_source(),
        )

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, tuple[Handle, ...], bytes]:
        """Arguments of a call, taken apart: see `jali.devices.arguments.bind`."""
        return bind(args, kwargs, self._revealed.handle)

    def party(self, name: str) -> str:
        """The name, if there is such a party. Raises: UnknownParty."""
        if name not in self.parties:
            known = ", ".join(self.parties)
            raise UnknownParty(f"no party {name!r} in the federation (known: {known}); add [parties.{name}]")
        return name

    def _targets(self, to: Any) -> tuple[str, ...]:
        if to == "all":
            return self.parties
        items: Sequence[Any] = to if isinstance(to, (list, tuple)) else [to]
        names = [p for item in items for p in ([item] if isinstance(item, str) else item.parties)]
        return tuple(dict.fromkeys(self.party(name) for name in names))

    # -- the end ------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Wait for everything that runs, agree that the program has ended, and close the sessions."""
        if self._closed:
            return
        self._closed = True
        errors = []
        for runtime in self._runtimes.values():
            runtime.end()
        for runtime in self._runtimes.values():
            try:
                runtime.finish()
            except JaliError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def abandon(self, error: JaliError) -> None:
        """End the run at every party under this error."""
        self._closed = True
        for runtime in self._runtimes.values():
            runtime.fail(error)
        for runtime in self._runtimes.values():
            runtime.close()

    def __enter__(self) -> Self:
        """The federation itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close, or end the run everywhere when the program failed."""
        if error is None:
            self.close()
        else:
            self.abandon(failure(error))


def failure(error: BaseException) -> JaliError:
    """What others are told of an exception of the program: its type only, since its message may hold data."""
    if isinstance(error, JaliError):
        return error
    failed = ProgramFailed(f"the program ended with {type(error).__name__}")
    failed.__cause__ = error
    return failed
