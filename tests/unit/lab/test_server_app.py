"""The HTTP API without a server: the ASGI application is called directly, with a backend that only remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from hotswap.errors import GenerationMovedError, HotswapError
from lab.refusals import ConflictError, NotFoundError, SubmissionError
from lab.server.app import create_app
from lab.server.views import plain

TOKEN = "secret-of-this-test"
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Memory:
    """Answers every method with what it was told to, and remembers the calls."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = {} if answer is None else answer
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, (*args, *kwargs.values())))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return method


class Api:
    def __init__(self, answer: Any = None) -> None:
        self.refreshes, self.commands, self.devices = Memory(answer), Memory(answer), Memory(answer)
        self.backend = SimpleNamespace(
            records=SimpleNamespace(devices=Memory({"_id": "arm"})),
            refreshes=self.refreshes,
            commands=self.commands,
            unstarted=self.commands,
            prompts=self.commands,
            hand_moves=self.commands,
            devices=self.devices,
            processes=Memory([{"name": "worker"}]).processes,
            submit=self.commands.submit,
            shut_down=self.commands.shut_down,
        )
        self.app = create_app(self.backend, lab="test", token=TOKEN)  # type: ignore[arg-type]

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> tuple[int, Any]:
        given = {"host": "127.0.0.1:8895", **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "server": ("127.0.0.1", 8895),
            "client": ("127.0.0.1", 1),
            "headers": [(key.encode(), value.encode("latin-1")) for key, value in given.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        async def run() -> None:
            await self.app(scope, receive, send)

        asyncio.run(run())
        data = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], json.loads(data)

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return self.call("POST", path, BEARER, json.dumps(body or {}).encode())


CHANGING = [
    "experiments",
    "experiments/1/cancel",
    "tasks/1/cancel",
    "tasks/1/retry",
    "tasks/1/move",
    "tasks/1/edit",
    "experiments/1/move",
    "prompts/1/answer",
    "samples/1/move",
    "devices/arm/pause",
    "devices/arm/release",
    "devices/arm/emergency_stop",
    "refresh",
    "plan",
    "rollback",
    "collect",
    "shutdown",
]


@pytest.mark.parametrize("path", CHANGING)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}])
def test_nothing_changes_without_the_token(path: str, headers: dict[str, str]) -> None:
    api = Api()
    status, answer = api.call("POST", f"/api/{path}", headers, b"{}")
    assert status == 401
    assert "token" in answer["error"]
    assert not api.commands.calls + api.refreshes.calls + api.devices.calls


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_need_the_token_too(method: str) -> None:
    assert Api().call(method, "/api/status")[0] == 401


def test_a_token_of_odd_characters_is_refused_not_a_fault() -> None:
    assert Api().call("POST", "/api/plan", {"authorization": "Bearer \xff"})[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8895", "127.0.0.1.evil.example", "", "[", "10.0.0.1"])
def test_a_foreign_host_name_is_refused(host: str) -> None:
    assert Api().call("GET", "/api/processes", {"host": host})[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8895", "[::1]:8895"])
def test_loopback_names_may_read(host: str) -> None:
    assert Api().call("GET", "/api/processes", {"host": host}) == (200, [{"name": "worker"}])


def test_a_foreign_page_may_not_even_read() -> None:
    assert Api().call("GET", "/api/processes", {**BEARER, "origin": "http://evil.example"})[0] == 403
    assert Api().call("GET", "/api/processes", {"origin": "null"})[0] == 403


def test_our_own_page_may() -> None:
    assert Api().call("GET", "/api/processes", {"origin": "http://127.0.0.1:8895"})[0] == 200


@pytest.mark.parametrize("body", [b'{"parameters": []}', b'{"remove": "x"}', b'{"remove": [1]}'])
def test_an_edit_of_another_shape_is_refused(body: bytes) -> None:
    api = Api()
    assert api.call("POST", "/api/tasks/1/edit", BEARER, body)[0] == 400
    assert not api.commands.calls


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"a": NaN}', b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    status, answer = Api().call("POST", "/api/plan", BEARER, body)
    assert status == 400
    assert "body" in answer["error"]


def test_a_huge_body_is_refused() -> None:
    assert Api().call("POST", "/api/experiments", BEARER, b" " * 17_000_000)[0] == 400


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("None."), 404),
        (ConflictError("Not now."), 409),
        (GenerationMovedError("Moved."), 409),
        (SubmissionError("Wrong."), 422),
        (HotswapError("Cannot."), 422),
    ],
)
def test_a_refusal_is_told_in_its_own_words(error: HotswapError, code: int) -> None:
    assert Api(error).post("/api/plan") == (code, {"error": str(error)})


def test_a_database_that_is_gone_is_told_without_its_address() -> None:
    status, answer = Api(AutoReconnect("mongodb://user:password@host")).post("/api/plan")
    assert status == 503
    assert "password" not in answer["error"]


def test_an_unknown_path_is_told_in_json() -> None:
    status, answer = Api().call("GET", "/api/nothing")
    assert status == 404
    assert "/api/nothing" in answer["error"]


def test_commands_reach_their_manager_with_the_actor() -> None:
    api = Api()
    api.post("/api/refresh", {"rev": "main", "actor": "ann"})
    api.post("/api/rollback", {"generation": 3, "actor": "ann"})
    api.post("/api/plan", {"rev": None})
    assert api.refreshes.calls == [
        ("request", ("main", "ann", "request")),
        ("roll_back", (3, "ann")),
        ("plan", (None,)),
    ]


@pytest.mark.parametrize("generation", [None, "3", 3.0, True])
def test_a_rollback_wants_a_whole_number(generation: Any) -> None:
    api = Api()
    assert api.post("/api/rollback", {"generation": generation})[0] == 400
    assert not api.refreshes.calls


def test_a_shutdown_is_forced_only_by_true() -> None:
    api = Api()
    api.post("/api/shutdown", {"force": "yes"})
    api.post("/api/shutdown", {"force": True})
    assert api.commands.calls == [("shut_down", (False,)), ("shut_down", (True,))]


def test_a_device_is_paused_by_name() -> None:
    api = Api()
    assert api.post("/api/devices/arm/pause") == (200, {"id": "arm"})
    assert api.devices.calls == [("pause", ("arm",))]


def test_facts_become_json() -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    number = ObjectId()
    facts = {"_id": number, "at": at, "values": (1, 2.5, float("nan"), None, True), "deep": [{"_id": "x"}]}
    assert plain(facts) == {
        "id": str(number),
        "at": "2030-01-02T03:04:05+00:00",
        "values": [1, 2.5, "nan", None, True],
        "deep": [{"id": "x"}],
    }


@pytest.mark.parametrize("body", [{}, {"position": 3}, {"place": "table/1"}])
def test_a_sample_is_not_taken_out_by_a_body_that_does_not_say_so(body: Any) -> None:
    api = Api()
    status, answer = api.post("/api/samples/quartz/move", body)
    assert (status, api.commands.calls) == (400, [])
    assert "position" in answer["error"]
