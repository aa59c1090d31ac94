"""``hotswap``: freeze packages, look at snapshots, compare, check, keep and move them.

A ``HotswapError`` ends a command with its sentence on standard error and exit code 2, as a wrong usage does.
"""

from __future__ import annotations

import click

from hotswap.cli._checking import verify
from hotswap.cli._common import Group
from hotswap.cli._completion import completion
from hotswap.cli._depot import fetch, push
from hotswap.cli._env import env
from hotswap.cli._freezing import freeze
from hotswap.cli._keeping import collect, hold, release
from hotswap.cli._looking import diff, list_snapshots, show
from hotswap.cli._stopping import stop
from hotswap.cli._travelling import checkout, export_snapshot, import_archive
from hotswap.cli._why import why
from hotswap.cli._working import list_generations, promote, show_current, worker


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hotswap-lab")
def main() -> None:
    """Versions of code: freeze a package into an immutable snapshot, look at snapshots, compare and check them.

    \b
    hotswap freeze my_lab            # what is on disk now
    hotswap freeze my_lab --rev v1   # what the tag v1 has
    hotswap diff 3f9a 81cc --patch
    hotswap worker my_app --broker redis://localhost:6379/0
    """


for command in (
    freeze,
    list_snapshots,
    show,
    diff,
    verify,
    collect,
    hold,
    release,
    export_snapshot,
    import_archive,
    push,
    fetch,
    checkout,
    worker,
    stop,
    promote,
    show_current,
    list_generations,
    completion,
    env,
    why,
):
    main.add_command(command)
