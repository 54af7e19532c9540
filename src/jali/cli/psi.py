# SPDX-License-Identifier: Apache-2.0
"""`jali psi`: which keys two parties have in common, from file to file."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from jali.core.config import Federation
    from jali.psi.contract import Learns
    from jali.psi.files import Outcome
    from jali.psi.folder import Job, RunFolder

__all__ = ["command"]

_STREAM = bytes(16)
_ENCODING = "Of SOURCE, a CSV file: latin-1, utf-16, ... What is written is UTF-8."
_NORMALISE = "'trimmed', 'exact', 'folded' (ignores case), or steps: nfc, nfd, nfkc, nfkd, fold, trim, alnum, digits."


@click.group()
def command() -> None:
    """Find the rows that two parties have in common; each runs the command with its own file.

    Neither shows its keys to the other. What each learns is on the page docs/explanation/psi.md.
    """


@command.command("run")
@click.argument("source")
@click.option("--on", "on", required=True, multiple=True, metavar="COLUMN", help="A key column (again for several).")
@click.option("--as", "me", required=True, metavar="PARTY", help="Be this party.")
@click.option("--with", "peer", required=True, metavar="PARTY", help="The other party.")
@click.option("--federation", required=True, type=click.Path(), help="The federation file.")
@click.option(
    "--out", "target", default="", type=click.Path(), help="The rows: .csv(.gz, .zst), .tsv, .parquet or .arrow."
)
@click.option("--learns", default="both", metavar="PARTY", help="'both', or the one party that gets a result.")
@click.option(
    "--otherwise",
    multiple=True,
    metavar="COLUMN[,COLUMN]",
    help="A further key, for rows that no key before has matched (again for more).",
)
@click.option(
    "--how",
    default="inner",
    help="inner, left, right, full, semi, anti or union; left is who stands first in the federation file.",
)
@click.option("--protocol", default="auto", help="'auto', 'ecdh', 'vole' or 'vole-malicious'.")
@click.option("--normalise", default="trimmed", help=_NORMALISE)
@click.option("--encoding", default="utf-8", help=_ENCODING)
@click.option("--network", default="lan", help="For the choice of the protocol: loopback, lan, wan, or 20ms/200Mbit.")
@click.option("--memory", "memory_mib", default=1024, help="MiB to stay below, about, libraries included.")
@click.option("--report", default="", type=click.Path(), help="An HTML page about the run.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def run_command(*, as_json: bool, otherwise: tuple[str, ...], **options: object) -> None:
    """Intersect SOURCE, a file or an SQL query (DuckDB's), with the other party's.

    The result holds the rows of SOURCE whose key the other party has too, in an order that is the same at both; --how
    names another kind of join. Should either side end in between, `jali psi resume OUT.psi` at both goes on where both
    were.
    """
    import msgspec

    from jali.psi.folder import Job, RunFolder

    job = msgspec.convert({**options, "otherwise": [columns.split(",") for columns in otherwise]}, Job)
    name = job.target or f"{Path(job.federation).parent / f'{job.me}-{job.peer}'}"
    _run(job, RunFolder.create(Path(f"{name}.psi"), job), as_json=as_json)


@command.command("resume")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def resume_command(*, folder: Path, as_json: bool) -> None:
    """Go on with a run that has not ended, whose FOLDER is named after its result."""
    from jali.psi.folder import RunFolder

    opened = RunFolder(folder)
    _run(opened.job, opened, as_json=as_json)


@command.command("explain")
@click.argument("keys", type=int)
@click.argument("others", type=int)
@click.option("--network", default="lan", help="loopback, lan, wan, or for example 20ms/200Mbit.")
@click.option("--learns", type=click.Choice(["both", "me", "peer"]), default="both")
@click.option("--how", default="inner", help="inner, left, right, full, semi, anti or union; I am the left.")
def explain_command(*, keys: int, others: int, network: str, learns: str, how: str) -> None:
    """What a join of KEYS of mine with OTHERS costs at most by each protocol, and what each party learns.

    A further key (--otherwise) costs as much again, at most.
    """
    from typing import cast

    from jali.cli.output import columns
    from jali.core.errors import InputError
    from jali.psi.choice import choose, speed_here
    from jali.psi.contract import PSI_PROTOCOLS, counted
    from jali.psi.disclosures import disclosures, threats
    from jali.psi.intersection import buckets
    from jali.psi.kinds import UNION, require_join
    from jali.psi.rounds import Sizes, Terms, join_script
    from jali.psi.spine import cost as spine_cost

    owners = ("me", "the peer")
    learners = {"both": owners, "me": owners[:1], "peer": owners[1:]}[learns]
    require_join(how, learners=learners, owners=owners, error=InputError)
    who = cast("Learns", learns)
    choice = choose((keys, others), (speed_here(), speed_here()), learns=who, network=network)
    rows: list[tuple[object, ...]] = [
        ("protocol", "seconds", "I send", "I receive", "rounds", "buckets", "against", "secure if")
    ]
    for name, threat in threats(how, protocols=PSI_PROTOCOLS.names()):
        assumed = "; ".join(threat.assumptions)
        if how == UNION:
            cost, parts = spine_cost(keys, others, keys + others), 1
        else:
            terms = Terms(how=how, learns=who, left=True, protocol=name)
            try:
                parts = buckets(PSI_PROTOCOLS.get(name)(), keys, others)
            except InputError:
                rows.append((name, "", "too unequal sets", "", "", "", f"{threat.adversary} parties", assumed))
                continue
            cost = counted(join_script([Sizes(keys, others, min(keys, others))], terms=terms))
        sizes = (f"{cost.bytes_sent[side]:,} B" for side in ("me", "peer"))
        seconds = f"{choice.seconds[name]:.2g}" if name in choice.seconds else ""
        rows.append((name, seconds, *sizes, f"{cost.rounds:,}", parts, f"{threat.adversary} parties", assumed))
    click.echo(columns(rows))
    if how != UNION:
        click.echo(f"\n'auto' takes {choice.protocol}, if both parties are as fast as this machine.")
    click.echo("\nWho learns what")
    for leak in disclosures(how, protocols=(choice.protocol,), learners=learners, owners=owners):
        click.echo(f"  {leak.to}: {leak.what} ({leak.why})")


@command.command("cache")
@click.argument("source")
@click.option("--on", "on", required=True, multiple=True, metavar="COLUMN", help="A key column (again for several).")
@click.option("--as", "me", required=True, metavar="PARTY", help="Be this party.")
@click.option("--federation", required=True, type=click.Path(path_type=Path), help="The federation file.")
@click.option("--out", "target", required=True, type=click.Path(path_type=Path), help="The cache, NAME.ppsi.")
@click.option("--normalise", default="trimmed", help=_NORMALISE)
@click.option("--encoding", default="utf-8", help=_ENCODING)
def cache_command(
    *, source: str, on: tuple[str, ...], me: str, federation: Path, target: Path, normalise: str, encoding: str
) -> None:
    """Mask all keys of SOURCE once, for parties that will ask about few of theirs ('jali psi ask').

    Give them the file. The secret beside it, NAME.ppsi.key, stays here.
    """
    from jali.core.config import load
    from jali.psi.cache import build
    from jali.psi.keys import Keys
    from jali.tables.sources import Source
    from jali.transport.connect import credentials_of

    loaded = load(federation)
    credentials_of(loaded, me)
    entry = loaded.parties[me]
    with Source(source, encoding=encoding) as table:
        keys = Keys.of_batches(table.keys(on), normalise=normalise)
    with _progress(repr(keys)) as progress:
        header = build(
            keys, target, party=me, certificate=Path(entry.certificate), key=Path(entry.key), progress=progress
        )
    click.echo(f"{header.n:,} keys in {target}, secret {header.key_id}")


@command.command("serve")
@click.argument("cache", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "me", required=True, metavar="PARTY", help="Be this party, the cache's owner.")
@click.option("--with", "peer", required=True, metavar="PARTY", help="The party that asks.")
@click.option("--federation", required=True, type=click.Path(path_type=Path), help="The federation file.")
@click.option("--limit", default=100_000, help="Most keys that one query may ask about.")
@click.option("--times", default=1, help="How many queries to answer before ending.")
def serve_command(*, cache: Path, me: str, peer: str, federation: Path, limit: int, times: int) -> None:
    """Answer queries of a party that has the CACHE."""
    from jali.core.config import load
    from jali.psi.cache import Cache, scalar_of
    from jali.psi.oprf import answer
    from jali.psi.record import recorded
    from jali.transport.connect import connect_tls

    loaded = load(federation)
    header = Cache(cache, authority=Path(loaded.authority), party=me).header
    scalar = scalar_of(cache, header)
    for _ in range(times):
        with recorded(loaded, me, text="answer queries of keys", **_queries(peer, me)) as record:
            session = connect_tls(loaded, me, parties=(me, peer), purpose="psi.oprf")
            try:
                count = answer(session.channel(peer).stream(_STREAM), header, scalar, most=limit)
            finally:
                session.close()
            record |= {"queries": count, "cache": header.key_id}
        click.echo(f"{count:,} queries answered")


@command.command("ask")
@click.argument("source")
@click.argument("cache", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--on", "on", required=True, multiple=True, metavar="COLUMN", help="A key column (again for several).")
@click.option("--as", "me", required=True, metavar="PARTY", help="Be this party.")
@click.option("--with", "peer", required=True, metavar="PARTY", help="The cache's owner.")
@click.option("--federation", required=True, type=click.Path(path_type=Path), help="The federation file.")
@click.option("--out", "target", required=True, type=click.Path(), help="The rows whose key the owner has.")
@click.option("--encoding", default="utf-8", help=_ENCODING)
def ask_command(
    *, source: str, cache: Path, on: tuple[str, ...], me: str, peer: str, federation: Path, target: str, encoding: str
) -> None:
    """Write the rows of SOURCE whose key is in the CACHE, by asking its owner ('jali psi serve') obliviously."""
    import numpy as np

    from jali.core.config import load
    from jali.psi.cache import Cache
    from jali.psi.keys import Keys
    from jali.psi.oprf import ask
    from jali.psi.record import recorded
    from jali.psi.rows import joined_rows
    from jali.tables.sources import Source, check_target
    from jali.transport.connect import connect_tls

    loaded = load(federation)
    check_target(target)
    opened = Cache(cache, authority=Path(loaded.authority), party=peer)
    with Source(source, encoding=encoding) as table:
        keys = Keys.of_batches(table.keys(on), normalise=opened.header.normalise)
        with recorded(loaded, me, text="ask about keys", **_queries(me, peer)) as record:
            session = connect_tls(loaded, me, parties=(me, peer), purpose="psi.oprf")
            try:
                found = ask(session.channel(peer).stream(_STREAM), opened, keys)
            finally:
                session.close()
            record |= {"queries": len(keys), "cache": opened.header.key_id}
        rows = np.sort(joined_rows(keys, found, np.ones(len(found), np.int64), left=True))
        table.write(rows, target)
    click.echo(f"{len(keys):,} keys asked about, {len(found):,} of them there; wrote {len(rows):,} rows to {target}")


def _queries(client: str, owner: str) -> dict[str, Any]:
    """What a ledger says of queries of a cache."""
    from jali.psi import oprf

    leaks, threats = oprf.leaks(client, owner), [("oprf", oprf.THREAT)]
    return {"participants": (client, owner), "leaks": leaks, "threats": threats}


def _run(job: Job, folder: RunFolder, *, as_json: bool) -> None:
    import msgspec

    from jali.core.config import load
    from jali.core.files import write_atomically
    from jali.psi.files import prepare, run
    from jali.transport.connect import connect_tls

    try:
        federation = load(Path(job.federation))
        owners = _owners(list(federation.parties), job)
        ready = prepare(job, left=owners[0] == job.me, folder=folder.path)
        with _recorded(federation, job, owners) as record, _progress(repr(ready.keys[0])) as progress:
            session = connect_tls(federation, job.me, parties=(job.me, job.peer), purpose="psi")
            try:
                stream = session.channel(job.peer).stream(_STREAM)
                outcome = run(ready, stream, folder=folder, progress=progress)
            finally:
                session.close()
            record |= {"protocol": outcome.protocol, "bytes_sent": outcome.bytes_sent}
            record |= {"bytes_received": outcome.bytes_received, "rounds": stream.counters.rounds}
    except BaseException:
        if not folder.started:  # there is nothing to go on from
            folder.delete()
        raise
    folder.delete()
    if job.report:
        write_atomically(job.report, _page(job, outcome, owners))
    click.echo(msgspec.json.encode(outcome) if as_json else _told(outcome))


def _recorded(federation: Federation, job: Job, owners: tuple[str, str]) -> AbstractContextManager[dict[str, Any]]:
    """The run in this party's ledger: what it would show, before it does."""
    from jali.psi.choice import AUTO, CHOSEN_FROM
    from jali.psi.disclosures import disclosures, threats
    from jali.psi.record import recorded

    protocols = CHOSEN_FROM if job.protocol == AUTO else (job.protocol,)
    learners = owners if job.learns == "both" else (job.learns,)
    return recorded(
        federation,
        job.me,
        text=f"join ({job.how}) of files on {_keys_of(job)}",
        participants=owners,
        leaks=disclosures(job.how, protocols=protocols, learners=learners, owners=owners, otherwise=len(job.otherwise)),
        threats=threats(job.how, protocols=protocols),
    )


def _keys_of(job: Job) -> str:
    return ", otherwise ".join(" and ".join(columns) for columns in (job.on, *job.otherwise))


def _owners(parties: list[str], job: Job) -> tuple[str, str]:
    """Both parties of a run, in the order of the federation file: left and right.

    Raises: UnknownName, with the near misses.
    """
    from jali.core.errors import UnknownName
    from jali.core.nearmiss import suggest

    for party in (job.me, job.peer):
        if party not in parties:
            raise UnknownName(f"the federation has no party {party!r}{suggest(party, parties)}")
    first, second = sorted((job.me, job.peer), key=parties.index)
    return first, second


def _page(job: Job, outcome: Outcome, owners: tuple[str, str]) -> str:
    """The run as an HTML page: what came out, who learned what, what is trusted, what it cost."""
    from html import escape

    from jali.cli.page import html_page, html_table
    from jali.psi.contract import PSI_PROTOCOLS
    from jali.psi.disclosures import disclosures, threats
    from jali.tables.sources import name_of

    run = [name for name in outcome.protocol.split(" and ") if name in PSI_PROTOCOLS] or ["ecdh"]  # or nothing ran
    learners = (job.me, job.peer) if job.learns == "both" else (job.learns,)
    common = "" if outcome.common_by_key is None else ", then ".join(f"{n:,}" for n in outcome.common_by_key)
    numbers = [["", "rows or keys"], ["rows", f"{outcome.rows:,}"], ["different keys", f"{outcome.keys:,}"]]
    numbers += [["keys in common", common], ["rows written", f"{outcome.written:,}"]]
    leaks = disclosures(job.how, protocols=run, learners=learners, owners=owners, otherwise=len(job.otherwise))
    learned = [["party", "learned", "because"], *([leak.to, leak.what, leak.why] for leak in leaks)]
    trusted = threats(job.how, protocols=run)
    assumed = dict.fromkeys(line for _, threat in trusted for line in threat.assumptions)
    cost = [["", "seconds or bytes"], *([f"{name}, seconds", f"{took:.2f}"] for name, took in outcome.seconds.items())]
    cost += [["bytes sent", f"{outcome.bytes_sent:,}"], ["bytes received", f"{outcome.bytes_received:,}"]]
    title = f"Rows that {job.me} and {job.peer} have in common"
    return html_page(
        title,
        f"<h1>{escape(title)}</h1><p>{escape(job.me)} joined {escape(name_of(job.source))} on "
        f"{escape(_keys_of(job))} ({escape(job.how)} join) by the protocol {escape(outcome.protocol)}, as "
        f"{escape(job.me)} saw it.</p>"
        f"{html_table(numbers, 'Result')}<h2>Who learned what</h2>"
        f"{html_table(learned, 'Beyond a party&#39;s own data')}<h2>What is trusted</h2><ul>"
        f"{''.join(f'<li>{escape(line)}</li>' for line in assumed)}</ul>"
        f"<h2>Cost</h2>{html_table(cost, 'Of this party, without frame headers and TLS')}",
    )


def _told(outcome: Outcome) -> str:
    by_key = outcome.common_by_key
    found = "" if by_key is None else f", {by_key[0]:,} of them in common"
    found += "".join(f", then {n:,} by the next key" for n in (by_key or ())[1:])
    lines = [f"{outcome.rows:,} rows with {outcome.keys:,} different keys{found} (protocol {outcome.protocol})"]
    if outcome.target:
        lines.append(f"wrote {outcome.written:,} rows to {outcome.target}")
    stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in outcome.seconds.items())
    lines.append(f"{stages}; sent {outcome.bytes_sent:,} B, received {outcome.bytes_received:,} B")
    return "\n".join(lines)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[float, str], None]]:
    """A bar with an estimate of what is left, where a terminal and rich are; else nothing."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield _unseen
        return
    if not sys.stderr.isatty():
        yield _unseen
        return
    shown = Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True))
    with shown:
        task = shown.add_task(title, total=1.0)

        def update(done: float, what: str) -> None:
            shown.update(task, completed=done, description=what)

        yield update


def _unseen(done: float, what: str) -> None:
    """Progress that nobody sees."""
    del done, what
