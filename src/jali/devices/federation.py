# SPDX-License-Identifier: Apache-2.0
"""A federation as a program sees it: its parties' devices, the doors between them, and what a run has cost.

One engine serves a notebook (`simulate`: all parties in this process), processes on one machine and institutions
(`connect`: one party a process). The program, the cryptography and the agreement between parties are the same.
"""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Any

from jali.core.errors import JaliError, ProgramFailed, UnknownDevice, UnknownParty, WouldDisclose
from jali.core.threat import Leak
from jali.crypto.hashing import digest
from jali.devices.arguments import bind
from jali.devices.handle import Handle, ObjectHandle, Placeholder
from jali.devices.mpc import MpcDevice
from jali.devices.plain import PlainDevice
from jali.devices.report import Report, merge_rows
from jali.devices.revealed import Revealed
from jali.devices.roles import RoleParts
from jali.graph.fingerprint import constant_fingerprint, function_fingerprint, function_name, user_source
from jali.graph.node import Graph, Node, Visibility

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from jali.core import config
    from jali.graph.runtime import Runtime

__all__ = ["Federation", "failure"]

Device = PlainDevice | MpcDevice


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
        return PlainDevice(self, self._party(party), party)

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
            self._party(party)
        return MpcDevice.make(self, parties, protocol=protocol, dealer=dealer, insecure_dealer=insecure_dealer)

    def device(self, name: str) -> Device:
        """The device of that name in the federation file."""
        found = self.settings.devices.get(name)
        if found is None:
            known = ", ".join(self.settings.devices) or "none"
            raise UnknownDevice(f"no device {name!r} in the federation file (known: {known}); add [devices.{name}]")
        if found.kind == "plain":
            return PlainDevice(self, name, found.party)
        return MpcDevice.make(
            self,
            found.parties,
            name=name,
            protocol=found.protocol,
            dealer=found.dealer,
            insecure_dealer=found.insecure_dealer,
        )

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

    # -- calls --------------------------------------------------------------------------------------------------
    def call_plain(
        self,
        device: PlainDevice,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        returns: Any = None,
    ) -> Any:
        """Run a function or class at a plain device."""
        arguments, inputs, fingerprint = bind(args, kwargs, self._revealed.handle)
        for handle in inputs:
            self._check_visible(handle.node, device.party, function_name(function))
        node = self._append(
            "plain.call",
            device=device.name,
            participants=(device.party,),
            inputs=tuple(h.node for h in inputs),
            attributes={"function": function, "method": None, "arguments": arguments, "returns": returns},
            fingerprint=digest("devices.call", function_fingerprint(function), fingerprint),
            visibility=Visibility("private", device.party),
            text=function_name(function),
        )
        if isinstance(function, type) and returns is None:
            return ObjectHandle(self, node)
        return self.results(node, returns)

    def call_method(
        self, made: ObjectHandle, last: Handle | None, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Handle:
        """Run a method of an object that lives on a plain device, after the `last` call on it."""
        arguments, inputs, fingerprint = bind(args, kwargs, self._revealed.handle)
        party = made.node.visibility.owner
        for handle in inputs:
            self._check_visible(handle.node, party, method)
        node = self._append(
            "plain.call",
            device=made.node.device,
            participants=(party,),
            inputs=(made.node, (made if last is None else last).node, *(h.node for h in inputs)),
            attributes={"function": None, "method": method, "arguments": arguments, "returns": None},
            fingerprint=digest("devices.method", method.encode(), fingerprint),
            visibility=Visibility("private", party),
            text=f"{made.node.text}.{method}",
        )
        return Handle(self, node)

    def call_mpc(
        self,
        device: MpcDevice,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        returns: Any = None,
    ) -> Any:
        """Trace and run a function on an MPC device; inputs of plain devices are shared on the way in."""
        arguments, inputs, fingerprint = bind(args, kwargs, self._revealed.handle)
        shared = [self.share(handle, device) for handle in inputs]
        node = self._append(
            "mpc.call",
            device=device.name,
            participants=device.participants,
            inputs=tuple(h.node for h in shared),
            attributes={"function": function, "arguments": arguments, "device": device.layout, "returns": returns},
            fingerprint=digest("devices.call", function_fingerprint(function), fingerprint, device.layout.fingerprint),
            visibility=Visibility("secret", device.name),
            text=function_name(function),
        )
        return self.results(node, returns)

    def share(self, handle: Handle, device: MpcDevice) -> Handle:
        """Move a value to an MPC device; one that is there already stays, and one that moved before is not moved again.

        Raises: WouldDisclose for a value that is secret on another device.
        """
        node = handle.node
        if node.visibility.kind == "secret":
            if node.attributes["device"] == device.layout:
                return handle
            raise WouldDisclose(
                f"{node.text!r} is secret on {node.device} and cannot move to {device.name}: both devices must be the "
                "same; reveal it to a party first if that party may see it",
                source=user_source(),
            )
        return handle.derived(device.layout, lambda: Handle(self, self._share_node(node, device)))

    def _share_node(self, node: Node, device: MpcDevice) -> Node:
        owner = node.attributes.get("to", node.participants)[0]
        participants = tuple(dict.fromkeys((owner, *device.participants)))
        return self._append(
            "mpc.share",
            device=device.name,
            participants=participants,
            inputs=(node,),
            attributes={"owner": owner, "device": device.layout},
            fingerprint=digest("devices.share", owner, device.layout.fingerprint),
            visibility=Visibility("secret", device.name),
            text=f"share {node.text}",
            leaks=tuple(
                Leak(what=f"shapes and types of {node.text}", to=p, why="announced by the owner")
                for p in participants
                if p != owner
            ),
        )

    def item(self, handle: Handle, path: tuple[int | str, ...]) -> Handle:
        """An element of a value, where the value is."""
        return handle.derived(("item", path), lambda: Handle(self, self._item_node(handle.node, path)))

    def _item_node(self, node: Node, path: tuple[int | str, ...]) -> Node:
        inherited = {key: node.attributes[key] for key in ("device", "to") if key in node.attributes}
        return self._append(
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
        root = Handle(self, self._reveal_node(source.node, targets))
        for party in targets:
            if party in self._runtimes:
                value = self._runtimes[party].value(root.node)
                self._revealed.remember(value, root)
                return value
        return Placeholder(root, targets)

    def _reveal_node(self, source: Node, targets: tuple[str, ...]) -> Node:
        secret = source.visibility.kind == "secret"
        owner = "" if secret else source.participants[0]
        holders = source.attributes["device"].evaluators if secret else (owner,)
        everybody = set(targets) >= set(self.parties)
        return self._append(
            "mpc.reveal" if secret else "plain.reveal",
            device=", ".join(targets),
            participants=tuple(dict.fromkeys((*holders, *targets))),
            inputs=(source,),
            attributes={"to": targets, "owner": owner, "layout": source.attributes.get("device")},
            fingerprint=digest("devices.reveal", "\0".join(targets).encode()),
            visibility=Visibility("public") if everybody else Visibility("private", targets[0]),
            text=f"reveal {source.text}",
            leaks=tuple(
                Leak(what=f"the value of {source.text}", to=party, why="revealed by the program")
                for party in targets
                if party != owner
            ),
        )

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
        return Report(
            title=f"Program of {len(self.graph.nodes)} nodes at {', '.join(self._runtimes) or 'nobody'}",
            parties=self.parties,
            rows=merge_rows(self.graph.nodes, records, predict(self.graph.nodes, outlines) if predicted else {}),
            trust=trust(self.graph.nodes),
        )

    # -- bookkeeping --------------------------------------------------------------------------------------------
    def align_node(self, **parts: Any) -> Node:
        """Add a node of an operation that an upper layer defines (see `Graph.append` for the parts)."""
        return self._append(parts.pop("operation"), **parts)

    def drop(self, node: Node) -> None:
        """A handle is gone (called by the garbage collector, hence only noted here)."""
        self._dropped.append(node)

    def _append(self, operation: str, **parts: Any) -> Node:
        while self._dropped:
            dropped = self._dropped.popleft()
            for runtime in self._runtimes.values():
                runtime.release(dropped)
        node = self.graph.append(operation, source=user_source(), stage=self._stage, **parts)
        for runtime in self._runtimes.values():
            runtime.submit(node)
        return node

    def _check_visible(self, node: Node, party: str, text: str) -> None:
        seen = node.visibility
        holders = {seen.owner, *node.attributes.get("to", ())}
        if seen.kind == "public" or (seen.kind == "private" and party in holders):
            return
        raise WouldDisclose(
            f"{text!r} at {party} would see {node.text!r}, which is {seen} (made at {node.source}); "
            f"compute on an mpc device, or jali.reveal(x, to={party!r}) if {party} may see it",
            source=user_source(),
        )

    def _party(self, name: str) -> str:
        if name not in self.parties:
            known = ", ".join(self.parties)
            raise UnknownParty(f"no party {name!r} in the federation (known: {known}); add [parties.{name}]")
        return name

    def _targets(self, to: Any) -> tuple[str, ...]:
        if to == "all":
            return self.parties
        items: Sequence[Any] = to if isinstance(to, (list, tuple)) else [to]
        names = [p for item in items for p in ([item] if isinstance(item, str) else item.parties)]
        return tuple(dict.fromkeys(self._party(name) for name in names))

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
