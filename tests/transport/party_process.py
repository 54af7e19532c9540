# SPDX-License-Identifier: Apache-2.0
"""One party as a process of its own: connects, says so, and waits for a message of everybody else."""

from __future__ import annotations

import sys

from jali.core import config
from jali.core.errors import JaliError
from jali.transport.connect import connect_tls

STREAM = bytes(16)


def main(path: str, party: str, mode: str) -> int:
    """`mode` "wait" receives for ever; "talk" exchanges one message with each peer and ends."""
    try:
        with connect_tls(config.load(path), party) as session:
            print("ready", flush=True)
            streams = [session.channel(peer).stream(STREAM) for peer in session.peers]
            for stream in streams if mode == "talk" else ():
                stream.send(party.encode())
            heard = [bytes(stream.receive()).decode() for stream in streams]
            print("heard", ",".join(heard), flush=True)
    except JaliError as error:
        print(error.code, error.party, flush=True)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
