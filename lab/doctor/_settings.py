"""Whether the settings keep their secrets, and name a lab package that is there."""

from __future__ import annotations

import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import git

from lab.doctor._report import Report
from lab.settings.config import LabConfig, read
from lab.settings.section import ConfigError

_URLS: Final = (("mongodb", "uri"), ("broker", "url"), ("archive", "uri"))


def check_settings(report: Report, config: LabConfig) -> None:
    try:
        config.check_package()
    except ConfigError as error:
        report.find("settings", str(error), "correct that, or bring the folder back")
    in_file = read(config.path, {}).in_file
    if any(_has_password(in_file.get(section), key) for section, key in _URLS):
        _check_file(report, config.path)
    _check_private(report, config.general.state_dir)


def _has_password(section: Any, key: str) -> bool:
    url = section.get(key) if isinstance(section, dict) else None
    try:
        return isinstance(url, str) and urlsplit(url).password is not None
    except ValueError:
        return True


def _check_file(report: Report, file: Path) -> None:
    """A password in lab.toml is for its owner only."""
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        report.find(
            "settings", f"{file} has a password in it, and others can read it", f"run `chmod 600 {file}`", _lock(file)
        )
    if _is_tracked(file):
        report.find(
            "settings",
            f"{file} has a password in it, and is in git",
            "name a file with uri_file or url_file instead, and change the password",
        )


def _check_private(report: Report, state_dir: Path) -> None:
    for path in (state_dir, state_dir / "token"):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            mode = "700" if path.is_dir() else "600"
            report.find("settings", f"others can read {path}", f"run `chmod {mode} {path}`", _lock(path))


def _lock(path: Path) -> Callable[[], None]:
    """Takes a file or folder away from everybody but its owner."""
    return partial(path.chmod, 0o700 if path.is_dir() else 0o600)


def _is_tracked(file: Path) -> bool:
    try:
        with git.Repo(file.parent, search_parent_directories=True) as repository:
            return bool(repository.git.ls_files("--", str(file)))
    except git.exc.GitError:
        return False
