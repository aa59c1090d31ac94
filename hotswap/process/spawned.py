"""A version process in a fresh interpreter, for snapshots that cannot be forked: same behaviour, slower."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from hotswap.describe import import_package
from hotswap.process import hygiene
from hotswap.process.context import Birth, live
from hotswap.process.surroundings import prepare
from hotswap.process.template import announce


def main() -> None:
    """Read the birth from standard input; the arguments are inherited descriptors, first the listening socket."""
    descriptors = [int(argument) for argument in sys.argv[1:]]
    listener = socket.socket(fileno=descriptors[0])
    birth = Birth(**json.load(sys.stdin))
    hygiene.begin_own_life(descriptors, birth.log)
    announce("process", birth, listener)
    prepare(birth.snapshot, birth.tree)
    with hygiene.undone():
        import_package(birth.package, Path(birth.tree))
    live(birth, listener)


if __name__ == "__main__":
    main()
