"""A process beside the ranks of a machine that says which of them was killed: the others are often ended before they
can. It is a program of its own, so that it starts at once and is not among what mpiexec ends.

    python -I -S witness.py RANK:PROCESS...

It ends without a word when it reads a byte from its standard input, or gets a SIGTERM: the ranks part in good order, or
one of them has said itself what is wrong.
"""

from __future__ import annotations

import os
import select
import sys


def main(arguments: list[str]) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    watched = {}
    for argument in arguments:
        rank, _, process = argument.partition(":")
        try:
            descriptor = os.pidfd_open(int(process))
        except ProcessLookupError:
            say([(rank, process)])
            return
        watched[descriptor] = (rank, process)
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if 0 in ready:
            if os.read(0, 1):
                return
            poll.unregister(0)  # whoever would have written was killed
        dead = [watched[descriptor] for descriptor in ready if descriptor in watched]
        if dead:
            say(dead)
            return


def say(dead: list[tuple[str, str]]) -> None:
    one = len(dead) == 1
    named = " and ".join(f"rank {rank} (process {process})" for rank, process in dead)
    text = f"{named} {'was' if one else 'were'} killed, or crashed; all ranks are ended.\n"
    os.write(2, text.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
