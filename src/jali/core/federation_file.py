# SPDX-License-Identifier: Apache-2.0
"""Reading the federation file: every setting is checked before anything uses it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from jali.core.config import DEVICE_KINDS, PROTOCOLS, Device, Federation, Ledger, Network, Party, Saved
from jali.core.errors import ConfigInvalid, DealerMissing, InputError, UnknownKey, UnknownName
from jali.core.files import read_text
from jali.core.nearmiss import suggest
from jali.core.registry import installed
from jali.core.templates import expand_names, expand_tables

if TYPE_CHECKING:
    import os

__all__ = ["load", "parse", "settable"]

StructT = TypeVar("StructT", bound=msgspec.Struct)

DERIVED = {Party: {"name"}, Device: {"name"}, Federation: {"path"}}
EVALUATORS = {"m2k": 2, "m3k": 3, "rep3": 3, "aby3": 3}
DEFAULT_PROTOCOLS = {2: "m2k", 3: "rep3"}
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})", re.ASCII)


def load(path: str | os.PathLike[str]) -> Federation:
    """The federation that a file describes, with templates expanded and paths made absolute.

    Raises: FileMissing, EncodingWrong, ConfigInvalid, UnknownKey, UnknownName, BadRange, DuplicateName, DealerMissing;
    each names the file.
    """
    place = Path(path)
    text = read_text(place)
    try:
        return parse(text, directory=place.absolute().parent, path=str(place.absolute()))
    except InputError as error:
        raise type(error)(f"{place}: {error.message}") from None


def parse(text: str, *, directory: Path, path: str = "") -> Federation:
    """The federation that a text describes; relative paths start at `directory`.

    Raises: as `load`, without the name of the file.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"not valid TOML: {error}") from None
    _require_known(raw, Federation, "", text)
    parties = {name: _party(name, table, text, directory) for name, table in _tables(raw, "parties").items()}
    federation = Federation(
        path=path,
        name=_convert({"name": raw.get("name", "local")}, Federation, "").name,
        authority=_resolved(_text_at(raw, "authority"), directory),
        parties=parties,
        devices={
            name: _device(name, table, text, parties, directory) for name, table in _tables(raw, "devices").items()
        },
        network=_section(raw, "network", Network, text),
        ledger=_resolved_folders(_section(raw, "ledger", Ledger, text), directory),
        saved=_resolved_folders(_section(raw, "saved", Saved, text), directory),
    )
    _require_distinct_addresses(federation)
    return federation


def settable(schema: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys of a schema that a file may set."""
    return tuple(name for name in schema.__struct_fields__ if name not in DERIVED.get(schema, ()))


def _tables(raw: dict[str, Any], section: str) -> dict[str, dict[str, Any]]:
    tables = raw.get(section, {})
    if not isinstance(tables, dict):
        raise ConfigInvalid(f"expected tables [{section}.NAME], found {type(tables).__name__}")
    return expand_tables(tables, section=section)


def _section(raw: dict[str, Any], name: str, schema: type[StructT], text: str) -> StructT:
    table = raw.get(name, {})
    if not isinstance(table, dict):
        raise ConfigInvalid(f"expected a table [{name}], found {type(table).__name__}")
    _require_known(table, schema, name, text)
    return _convert(table, schema, name)


def _party(name: str, table: dict[str, Any], text: str, directory: Path) -> Party:
    where = f"parties.{name}"
    _require_known(table, Party, where, text)
    party = _convert({**table, "name": name}, Party, where)
    if party.address:
        address = ADDRESS.fullmatch(party.address)
        if address is None or not 1 <= int(address.group(2)) <= 65535:
            raise ConfigInvalid(
                f'expected "host:port" with a port from 1 to 65535 as {where}.address, found {party.address!r}'
            )
    return msgspec.structs.replace(
        party, certificate=_resolved(party.certificate, directory), key=_resolved(party.key, directory)
    )


def _device(name: str, table: dict[str, Any], text: str, parties: dict[str, Party], directory: Path) -> Device:
    where = f"devices.{name}"
    _require_known(table, Device, where, text)
    device = _convert({**table, "name": name}, Device, where)
    device = msgspec.structs.replace(
        device,
        parties=expand_names(device.parties, where=f"{where}.parties"),
        store=_resolved(device.store, directory),
    )
    _require_choice(device.kind, f"{where}.kind", DEVICE_KINDS, "jali.devices")
    for party in (device.party, *device.parties, device.dealer, device.insecure_dealer):
        if party and party not in parties:
            raise UnknownName(f"{where} names a party {party!r} that has no table{suggest(party, parties)}")
    if device.kind == "plain":
        return _plain(device, where)
    return _mpc(device, where, parties) if device.kind == "mpc" else device


def _plain(device: Device, where: str) -> Device:
    if not device.party:
        raise ConfigInvalid(f'{where} is plain and belongs to nobody: add party = "NAME"')
    surplus = [key for key in settable(Device) if key not in ("kind", "party") and getattr(device, key)]
    if surplus:
        raise ConfigInvalid(f'{where} is plain, so {surplus[0]!r} has no meaning: remove it, or choose kind = "mpc"')
    return device


def _mpc(device: Device, where: str, parties: dict[str, Party]) -> Device:
    count = len(device.parties)
    if device.party or not count:
        raise ConfigInvalid(f'{where} is mpc and needs its computing parties: parties = ["NAME", "NAME"]')
    protocol = device.protocol or DEFAULT_PROTOCOLS.get(count)
    if protocol is None:
        raise ConfigInvalid(f"{where} has {count} parties; expected 2 (protocol m2k) or 3 (protocol rep3)")
    _require_choice(protocol, f"{where}.protocol", PROTOCOLS, "jali.protocols")
    if count != EVALUATORS.get(protocol, count):
        raise ConfigInvalid(f"{where} runs {protocol} with {EVALUATORS[protocol]} parties, found {count}")
    device = msgspec.structs.replace(device, protocol=protocol)
    _require_store(device, where)
    if protocol == "m2k":
        return _with_dealer(device, where, parties)
    return _without_dealer(device, where) if protocol in PROTOCOLS else device


def _require_store(device: Device, where: str) -> None:
    """What is dealt ahead of time is kept somewhere, and by others than who dealt it."""
    if (device.dealing == "ahead") != bool(device.store):
        raise ConfigInvalid(f'{where}: dealing = "ahead" and store = "FOLDER" go together; found one of them')
    if device.dealing == "ahead" and device.insecure_dealer:
        raise ConfigInvalid(f"{where}: insecure_dealer is there whenever the device computes; remove dealing and store")


def _with_dealer(device: Device, where: str, parties: dict[str, Party]) -> Device:
    if device.insecure_dealer:
        if device.dealer:
            raise ConfigInvalid(f"{where} has both a dealer and an insecure_dealer: remove one")
        return device
    helpers = [party.name for party in parties.values() if party.role == "helper"]
    dealer = device.dealer or (helpers[0] if len(helpers) == 1 else None)
    if dealer is None and not helpers and device.dealing == "ahead":
        return device  # whoever dealt need not be in the federation any more
    if dealer is None and helpers:
        raise DealerMissing(f"{where} does not say which helper deals its randomness: add dealer = {helpers[0]!r}")
    if dealer is None:
        raise DealerMissing(
            f"{where} has two parties and nobody who deals their randomness. Add a helper party "
            '([parties.dealer] with role = "helper") and dealer = "dealer"; or add a third party and '
            f'protocol = "rep3"; or trust one with every secret: insecure_dealer = "{device.parties[0]}"'
        )
    if parties[dealer].role != "helper":
        raise DealerMissing(
            f'{where}.dealer is {dealer!r}, which holds data: give it role = "helper", or say '
            f'insecure_dealer = "{dealer}" (it could read every secret)'
        )
    return msgspec.structs.replace(device, dealer=dealer)


def _without_dealer(device: Device, where: str) -> Device:
    if device.protocol != "m3k" and device.dealing:
        raise ConfigInvalid(f"{where} runs {device.protocol}, which has no dealer: remove dealing = {device.dealing!r}")
    if device.dealer or device.insecure_dealer:
        why = "whose third party deals" if device.protocol == "m3k" else "which has no dealer"
        raise ConfigInvalid(f"{where} runs {device.protocol}, {why}: remove it")
    return device


def _require_choice(name: str, where: str, builtin: tuple[str, ...], group: str) -> None:
    """Refuse a name that is neither ours nor an installed package's."""
    if name not in builtin and name not in installed(group):
        raise UnknownName(f"{where} is {name!r}{suggest(name, (*builtin, *installed(group)))}")


def _require_known(table: dict[str, Any], schema: type[msgspec.Struct], where: str, text: str) -> None:
    known = settable(schema)
    for key in table:
        if key not in known:
            place = f" in [{where}]" if where else ""
            line = _line_of(text, where, key)
            raise UnknownKey(f"unknown key {key!r}{place}{f', line {line}' if line else ''}{suggest(key, known)}")


def _convert(table: dict[str, Any], schema: type[StructT], where: str) -> StructT:
    try:
        return msgspec.convert(table, schema)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        inside = place.rstrip("`")
        raise ConfigInvalid(f"{where}{inside}: {reason[0].lower()}{reason[1:]}".removeprefix(".")) from None


def _text_at(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key, "")
    if not isinstance(value, str):
        raise ConfigInvalid(f"{key}: expected a string, found {type(value).__name__}")
    return value


def _resolved(path: str, directory: Path) -> str:
    return str(directory / path) if path else ""


def _resolved_folders(section: StructT, directory: Path) -> StructT:
    """The same section, all of whose settings are folders, with absolute paths."""
    return type(section)(**{key: _resolved(getattr(section, key), directory) for key in settable(type(section))})


def _require_distinct_addresses(federation: Federation) -> None:
    seen: dict[str, str] = {}
    for party in federation.parties.values():
        if party.address and party.address in seen:
            raise ConfigInvalid(
                f"{seen[party.address]!r} and {party.name!r} have one address, {party.address}: give each its own port"
            )
        seen[party.address] = party.name


def _line_of(text: str, where: str, key: str) -> int:
    """The line on which a key stands under a table's header; 0 when the file is written in another way."""
    stem = re.split(r"[.\[]", where)[1] if "." in where else where
    header = ""
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("["):
            header = bare
            if not where and re.match(rf'\[+\s*"?{re.escape(key)}\b', bare):
                return number
        elif (stem in header if where else not header) and re.match(rf'"?{re.escape(key)}"?\s*[=.]', bare):
            return number
    return 0
