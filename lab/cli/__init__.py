"""``lab``: make, launch and look after a laboratory. Imports late, so that ``--help`` is there at once."""

from __future__ import annotations

import click

from lab.cli._backup import backup, clean, restore
from lab.cli._code import collect, plan, refresh, rollback, versions
from lab.cli._common import Group
from lab.cli._devices import devices, emergency_stop, pause, release
from lab.cli._operation import alarms, archive, doctor, export
from lab.cli._prompts import answer, prompts
from lab.cli._results import result
from lab.cli._resumption import resume, skip
from lab.cli._running import init, launch, stop
from lab.cli._samples import blame, move_sample, samples
from lab.cli._settings import config, logs, validate
from lab.cli._signals import signals
from lab.cli._submitting import submit, templates
from lab.cli._unstarted import edit, move
from lab.cli._work import cancel, experiments, retry, status, tasks


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hotswap-lab")
def main() -> None:
    """A laboratory whose code can change while it runs.

    \b
    Examples:
      lab init my_lab            write a starter lab
      cd my_lab && lab launch    start everything, in this terminal
      lab submit experiment.json
      lab status
    """


for _command in (
    init,
    launch,
    stop,
    submit,
    templates,
    status,
    tasks,
    experiments,
    result,
    samples,
    blame,
    prompts,
    answer,
    devices,
    signals,
    versions,
    plan,
    refresh,
    rollback,
    collect,
    cancel,
    move,
    edit,
    move_sample,
    pause,
    release,
    emergency_stop,
    retry,
    skip,
    resume,
    doctor,
    alarms,
    backup,
    restore,
    clean,
    archive,
    export,
    config,
    validate,
    logs,
):
    main.add_command(_command)
