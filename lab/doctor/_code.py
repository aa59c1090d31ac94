"""The snapshot store, the environment of current code, and the git hook that tells of commits."""

from __future__ import annotations

from functools import partial

from hotswap.errors import HotswapError
from hotswap.generations import Generations
from hotswap.source import repository_around
from hotswap.store import Store
from hotswap.triggers import install_hook, is_hooked
from lab.doctor._report import Report
from lab.managers.environment import drift_in, told
from lab.records import Records
from lab.settings.config import LabConfig


def check_store(report: Report, store: Store) -> None:
    """Names, sizes and modes of every file; ``hotswap verify`` reads the contents."""
    if not store.root.exists():
        report.tell("store", "there is none yet; the first `lab launch` makes it")
        return
    try:
        snapshots = store.list()
    except (HotswapError, OSError) as error:
        report.find("store", f"{store.root} cannot be read: {error}", "let this user read it")
        return
    damaged = 0
    for snapshot in snapshots:
        try:
            store.open(snapshot.id)
        except HotswapError as error:
            damaged += 1
            report.find("store", str(error), f"run `hotswap verify --store {store.root} --repair`")
    report.tell("store", f"{len(snapshots) - damaged} of {len(snapshots)} code versions have every file they should")


def check_environment(report: Report, records: Records, store: Store) -> None:
    current = Generations(records.database).current()
    if current is None:
        report.tell("versions", "no code version is current yet")
        return
    report.tell("versions", f"generation {current.number} is current, code version {current.snapshot[:12]}")
    changes = told(drift_in(store)(current.snapshot))
    if changes:
        names = ", ".join(f"{name} {before or 'absent'} -> {after or 'absent'}" for name, before, after in changes)
        what = f"other distributions are installed than current code was frozen with: {names}"
        report.find("versions", what, "install those again, or take the new ones up with `lab stop` and `lab launch`")


def check_hooks(report: Report, config: LabConfig) -> None:
    general = config.general
    if not general.auto_refresh or general.trigger != "commit" or config.code.remote is not None:
        report.tell("hooks", "no git hook is needed")
        return
    top = repository_around(general.package if general.package.is_dir() else general.package.parent)
    if top is None:
        report.find(
            "hooks", f"{general.package} is in no git repository, so no commit goes live", "run `git init` there"
        )
    elif is_hooked(top):
        report.tell("hooks", "git tells of each commit")
    else:
        what = f"the git hooks of {top} are not installed; commits are noticed by watching refs only"
        report.find("hooks", what, "run `lab doctor --repair`", partial(install_hook, top))
