"""Who can reach a launched lab, and who can change it."""

from __future__ import annotations

import http.client
from ipaddress import ip_address
from typing import cast
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import psutil
import pytest
from laboratory import Laboratory
from starlette.routing import Route

from lab.server.app import create_app

pytestmark = pytest.mark.system

ROUTES = cast("list[Route]", create_app(MagicMock(), lab="lab", token="token").routes)
CHANGES = [
    *(route.path.removeprefix("/api/").format(id="balance") for route in ROUTES if "POST" in (route.methods or ())),
    "no/such/path",
]


def answer(lab: Laboratory, method: str, path: str, **headers: str) -> int:
    """The HTTP status of a request with these headers; ``Host`` can be one of them."""
    connection = http.client.HTTPConnection(urlsplit(lab.url).netloc, timeout=10)
    try:
        connection.request(method, f"/api/{path}", b"{}" if method == "POST" else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_every_route_that_changes_something_is_tried() -> None:
    assert {"experiments", "devices/balance/pause", "tasks/balance/move", "refresh/cancel", "collect"} < set(CHANGES)


@pytest.mark.parametrize("path", CHANGES)
def test_nothing_is_changed_without_the_token(lab: Laboratory, path: str) -> None:
    wrong = ["", "Bearer ", "Bearer wrong", f"Basic {lab.token}", f"Bearer {lab.token}x", lab.token]
    assert answer(lab, "POST", path) == 401
    assert [answer(lab, "POST", path, Authorization=each) for each in wrong] == [401] * len(wrong)
    assert not lab.devices()["balance"]["paused"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_other_method_gets_past_the_token(lab: Laboratory, method: str) -> None:
    assert answer(lab, method, "status") == 401


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_foreign_pages_get_nothing_even_with_the_token(lab: Laboratory, header: dict[str, str]) -> None:
    headers = {**header, "Authorization": f"Bearer {lab.token}"}
    assert answer(lab, "GET", "status", **headers) == 403
    assert answer(lab, "POST", "devices/balance/pause", **headers) == 403
    assert not lab.devices()["balance"]["paused"]


def test_every_server_listens_on_loopback_only(lab: Laboratory) -> None:
    sockets = [each for process in lab.processes() for each in process.net_connections("inet")]
    listening = [each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN]
    assert len(listening) > len(lab.devices())
    assert {"secantusd-py", "valkey-server"} <= {process.name() for process in lab.processes()}
    assert [ip for ip in listening if not ip_address(ip).is_loopback] == []


def test_what_holds_secrets_is_for_its_owner_alone(lab: Laboratory) -> None:
    secret = [lab.state, lab.state / "token", lab.state / "run" / "broker.json", lab.state / "config" / "valkey.conf"]
    assert [path.name for path in secret if path.stat().st_mode & 0o077] == []


def test_no_secret_stands_in_a_command_line_or_a_log(lab: Laboratory) -> None:
    lines = [" ".join(process.cmdline()) for process in lab.processes()]
    logs = [path.read_text(errors="replace") for path in lab.state.rglob("*.log")]
    assert logs
    assert not any(lab.token in text for text in lines + logs)
