"""The processes of a laboratory: whether each answers while it runs, and whether any is left over while it does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from hotswap.errors import HotswapError
from hotswap.process.runs import Run, Runs
from hotswap.wire import Address, Client
from lab.client import ClientError
from lab.connection import client_of
from lab.doctor._report import Report
from lab.services.managers import record_of
from lab.services.record import living
from lab.services.service import ServiceError
from lab.services.supervisor import fleet_address_of, only_one, running, token
from lab.settings.config import LabConfig

_PATIENCE_SECONDS: Final = 2.0
_SUSPENDED: Final = "if it is suspended, `kill -CONT {pid}` lets it go on; else "


def check_processes(report: Report, config: LabConfig) -> None:
    """Supervisor, workers and drivers of a laboratory that runs; of one that does not, what is left over."""
    if (supervisor := running(config)) is None:
        _check_left(report, config)
        return
    secret, address = token(config), fleet_address_of(config)
    if address is None or not _answers(address, secret):
        mend = f"end it with `kill -KILL {supervisor.pid}`, then run `lab launch`: work goes on meanwhile"
        report.find("processes", "the supervisor does not answer", _SUSPENDED.format(pid=supervisor.pid) + mend)
    runs = [run for run in Runs(config.general.state_dir / "run" / "processes").load() if run.kind == "process"]
    if silent := _silent(_silent(runs, secret), secret):  # asked twice, as it may be starting
        for run in silent:
            mend = "`lab emergency-stop DEVICE` replaces the process of a driver, and `lab cancel` ends a worker's task"
            what = f"{run.name} (process {run.identity.pid}) does not answer"
            report.find("processes", what, _SUSPENDED.format(pid=run.identity.pid) + mend)
    else:
        report.tell("processes", f"{len(runs)} workers and driver processes answer")


def check_managers(report: Report, config: LabConfig) -> None:
    """Those of a laboratory that runs, whose database has answered: they cannot answer without it."""
    managers = living(record_of(config.general.state_dir))
    if managers is None:
        mend = "the supervisor starts them again; if they stay away, see logs/managers.log in the state folder"
        report.find("processes", "the managers do not run", mend)
        return
    try:
        client_of(config, timeout=_PATIENCE_SECONDS).get("devices")
    except ClientError as error:
        what = f"the managers fail: {error}" if error.status else "the managers do not answer"
        mend = f"end them with `kill -KILL {managers.pid}`: the supervisor starts them again, and work goes on"
        report.find("processes", what, _SUSPENDED.format(pid=managers.pid) + mend)
    else:
        report.tell("processes", "the managers answer")


def _check_left(report: Report, config: LabConfig) -> None:
    folder = config.general.state_dir / "run"
    if not folder.is_dir():
        return
    try:
        with only_one(config):
            left = sorted({path.name.partition(".")[0] for path in folder.rglob("*.json") if living(path)})
    except ServiceError:
        report.tell("processes", "the lab is being started or stopped, or somebody looks after its database")
        return
    if left:
        what = f"though the lab does not run, some of its processes do: {', '.join(left)}"
        report.find("processes", what, "`lab launch` takes them over with their work, `lab stop` ends them")


def _silent(runs: list[Run], secret: str) -> list[Run]:
    """Those that live, but do not answer; all are asked at the same time."""
    with ThreadPoolExecutor(max(len(runs), 1)) as pool:
        answers = pool.map(lambda run: _answers(run.address, secret), runs)
        return [run for run, answered in zip(runs, answers, strict=True) if not answered and run.identity.alive()]


def _answers(address: Address, secret: str) -> bool:
    try:
        Client(address, secret, timeout=_PATIENCE_SECONDS).close()
    except (OSError, HotswapError):
        return False
    return True
