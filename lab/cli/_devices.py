"""``lab devices | pause | release | emergency-stop``."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts, tell


@click.command()
@as_json
@in_lab
def devices(folder: Path | None, as_json: bool) -> None:
    """List devices: state, driver, holder, times connected.

    \b
    Example:
      lab devices --json
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).get("devices"), display.show_devices)


@click.command()
@click.argument("device")
@as_json
@in_lab
def pause(folder: Path | None, device: str, as_json: bool) -> None:
    """Grant DEVICE to nobody until it is released.

    A task that holds it keeps it.

    \b
    Example:
      lab pause furnace_1
    """
    facts = client_of(config_of(folder)).pause(device)
    tell(as_json, facts, f"{device} is paused; `lab release {device}` ends that.")


@click.command()
@click.argument("device")
@as_json
@in_lab
def release(folder: Path | None, device: str, as_json: bool) -> None:
    """End the pause of DEVICE, or connect it again.

    After an emergency stop or an error it is connected again.

    \b
    Example:
      lab release furnace_1
    """
    facts = client_of(config_of(folder)).release(device)
    tell(as_json, facts, f"{device} is released.")


@click.command("emergency-stop")
@click.argument("device")
@as_json
@in_lab
def emergency_stop(folder: Path | None, device: str, as_json: bool) -> None:
    """Stop DEVICE at once, whatever it is doing; pause it.

    Calls of the task that uses it are refused from then on.

    \b
    Example:
      lab emergency-stop furnace_1
    """
    facts = client_of(config_of(folder)).emergency_stop(device)
    tell(as_json, facts, f"{device} was told to stop and is paused; `lab release {device}` connects it again.")
