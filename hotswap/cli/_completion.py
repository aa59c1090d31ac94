"""``hotswap completion``: the script that teaches a shell the commands, their options and the ids in the store."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print the script that completes hotswap in a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes `hotswap` in SHELL: commands, options, and the ids of snapshots.

    \b
    hotswap completion bash > ~/.local/share/bash-completion/completions/hotswap
    hotswap completion zsh > ~/.zfunc/_hotswap        # a folder of $fpath
    hotswap completion fish > ~/.config/fish/completions/hotswap.fish
    """
    found = get_completion_class(shell)
    assert found is not None, "every choice is a shell that click knows"
    click.echo(found(ctx.find_root().command, {}, "hotswap", "_HOTSWAP_COMPLETE").source())
