"""Finds a running laboratory: its address and its token are in the state folder."""

from __future__ import annotations

import getpass
import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from hotswap.errors import HotswapError
from lab.client import ClientError, LabClient
from lab.settings.config import LabConfig, load


def connect(address: str | None = None, token: str | None = None, folder: Path | str | None = None) -> LabClient:
    """A client of the laboratory at ``address``; what is not given comes from the lab that ``folder`` is in.

    ``folder`` is the current one unless given. Raises ConfigError where there is no lab, ClientError when it does not
    run. With an address, a missing token is no error: reading needs none.
    """
    if address is not None and token is not None:
        return LabClient(address, token, actor=user())
    try:
        found = client_of(load(folder))
    except HotswapError:
        if address is None:
            raise
        return LabClient(address, token or "", actor=user())
    if address is None or _place(address) == _place(found.url):
        return found if token is None else LabClient(found.url, token, actor=user())
    return LabClient(address, token or "", actor=user())  # another lab is not told the token of this one


def client_of(config: LabConfig, timeout: float = 60.0) -> LabClient:
    """A client of the laboratory with these settings, patient for ``timeout`` seconds per call.

    Raises ClientError when it does not run.
    """
    path = config.general.state_dir / "run" / "managers.json"
    try:
        url = json.loads(path.read_text())["url"]
        token = (config.general.state_dir / "token").read_text().strip()
    except FileNotFoundError:
        raise ClientError(_absence(config)) from None
    except (ValueError, KeyError, TypeError):
        raise ClientError(f"{path} is damaged; run `lab stop`, then `lab launch`.") from None
    return LabClient(url, token, actor=user(), timeout=timeout)


def _absence(config: LabConfig) -> str:
    from lab.services.record import living  # not for those who only read `lab`, such as version processes

    if living(config.general.state_dir / "run" / "supervisor.json") is not None:
        return f"The lab {config.general.name!r} is starting; try again in some seconds."
    return f"The lab {config.general.name!r} does not run; start it with `lab launch`."


def _place(address: str) -> tuple[str | None, int | None]:
    parts = urlsplit(address)
    return "127.0.0.1" if parts.hostname == "localhost" else parts.hostname, parts.port


def user() -> str:
    """Who runs this program, as the records name people."""
    with suppress(KeyError, OSError):  # a user id without a name
        return getpass.getuser()
    return "cli"
