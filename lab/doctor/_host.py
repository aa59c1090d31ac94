"""The machine: its platform, its disk, and the port of the HTTP API."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lab.doctor._report import Report
from lab.services.managers import record_of
from lab.services.record import living
from lab.settings.config import LabConfig

_OLDEST_PYTHON: Final = (3, 11)
_SHOWN: Final = ("pymongo", "dramatiq", "pydantic", "starlette", "uvicorn")


def check_platform(report: Report) -> None:
    python = platform.python_version()
    report.tell("versions", f"Python {python} on {platform.system()} {platform.release()}")
    if sys.version_info[:2] < _OLDEST_PYTHON:
        report.find("versions", f"Python {python} is too old", "make an environment with Python 3.11 or newer")
    if sys.platform == "linux":
        report.tell("platform", "version processes are forked; those of code that leaves threads behind are spawned")
    else:
        report.find(
            "platform",
            f"on {platform.system()} there is no pidfd, and processes are spawned, slower; it is not tested",
            "run the lab on Linux",
        )
    _check_distributions(report)


def _check_distributions(report: Report) -> None:
    own = metadata.distribution("hotswap-lab")
    installed = {canonicalize_name(each.name): each.version for each in metadata.distributions() if each.name}
    shown = ", ".join(f"{name} {installed.get(canonicalize_name(name), 'absent')}" for name in _SHOWN)
    report.tell("versions", f"hotswap-lab {own.version}; {shown}")
    for text in own.requires or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = installed.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            what = f"{wanted.name} is {version or 'absent'}, but hotswap-lab needs {wanted.specifier or 'it'}"
            report.find("versions", what, f"run `pip install '{wanted.name}{wanted.specifier}'`")


def check_disk(report: Report, config: LabConfig) -> None:
    folder = _there(config.general.state_dir)
    free = shutil.disk_usage(folder).free >> 20
    report.tell("disk", f"{free} MB are free where {config.general.state_dir} is")
    mend = "run `lab collect`, shorten [retention] in lab.toml, or make room"
    if free < config.alarms.disk_free_mb:
        report.find("disk", f"only {free} MB are free in {folder}", mend)
    status = os.statvfs(folder)
    if status.f_files and status.f_favail < status.f_files // 100:
        report.find("disk", f"only {status.f_favail} more files can be made in {folder}", mend)
    if not os.access(folder, os.W_OK):
        report.find("disk", f"{folder} cannot be written to", "let this user write to it, or set general.state_dir")


def _there(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def check_ports(report: Report, config: LabConfig) -> None:
    host, port = config.server.host, config.server.port
    if living(record_of(config.general.state_dir)) is not None:
        report.tell("ports", "the managers have the port of the HTTP API")
        return
    if port == 0:
        report.tell("ports", "the HTTP API takes any free port")
        return
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        what = f"the HTTP API cannot listen on {host}:{port} ({error.strerror})"
        report.find("ports", what, f"end what uses it (`ss -ltnp 'sport = :{port}'` names it), or set server.port")
    else:
        report.tell("ports", f"{host}:{port} is free")
