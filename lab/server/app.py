"""The HTTP API: JSON in, JSON out, errors as ``{"error": sentence}``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from pymongo.errors import PyMongoError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hotswap.errors import GenerationMovedError, HotswapError
from hotswap.generations import UnknownGenerationError
from lab.durations import DurationError
from lab.managers.alarms import AlarmManager
from lab.records import Document, Records
from lab.refusals import ConflictError, NotFoundError
from lab.results.result_files import ResultFiles, pieces
from lab.server import views
from lab.server.backend import Backend
from lab.server.guard import LOOPBACK_NAMES, Guard
from lab.server.signals import signals
from lab.settings.simulation import Simulation

_MAX_BODY: Final = 16 * 1024 * 1024
_CODES: Final[dict[type[HotswapError], int]] = {
    NotFoundError: 404,
    UnknownGenerationError: 404,
    ConflictError: 409,
    GenerationMovedError: 409,
    DurationError: 400,
}

Query = Callable[[Request], Any]
Command = Callable[[Request, Any], Any]

log = logging.getLogger(__name__)


class BodyError(HotswapError):
    """A request's body is not what this API reads."""


def create_app(
    backend: Backend,
    *,
    lab: str,
    token: str,
    auto_refresh: bool = False,
    simulation: Simulation = Simulation(),  # noqa: B008 - frozen, so that it may be shared
    hosts: frozenset[str] | None = LOOPBACK_NAMES,
) -> Starlette:
    """The API of one laboratory; ``lab`` is its name."""
    records = backend.records
    queries: dict[str, Query] = {
        "status": lambda _: views.status(backend, lab, simulation, auto_refresh=auto_refresh),
        "experiments": lambda _: views.experiments(records),
        "experiments/{id}": lambda request: views.experiment(records, request.path_params["id"]),
        "tasks": lambda request: views.tasks(records, request.query_params),
        "tasks/{id}": lambda request: views.task(records, request.path_params["id"]),
        "templates": lambda _: backend.templates.listed(),
        "devices": lambda _: views.devices(records),
        "devices/{id}/signals": lambda request: signals(records, _id(request), request.query_params),
        "positions": lambda _: views.positions(records),
        "samples": lambda request: backend.provenance.samples(request.query_params.get("version")),
        "samples/{id}/blame": lambda request: backend.provenance.blame(_id(request), since=_asked(request, "since")),
        "prompts": lambda request: views.prompts(backend.prompts, request.query_params.get("status")),
        "prompts/{id}": lambda request: backend.prompts.get(_id(request)),
        "versions": lambda _: views.versions(backend),
        "refreshes": lambda _: views.refreshes(records),
        "refreshes/{id}": lambda request: views.refresh(records, _id(request)),
        "events": lambda request: views.events(records, request.query_params.get("after")),
        "processes": lambda _: backend.processes(),
        "alarms": lambda _: _alarms(backend).recent(),
    }
    routes = [Route(f"/api/{path}", _reading(query), methods=["GET"]) for path, query in queries.items()]
    routes.append(Route("/api/results/{id}", _sending(records), methods=["GET"]))
    for path, command in _commands(backend).items():
        routes.append(Route(f"/api/{path}", _changing(command), methods=["POST"]))
    handlers: dict[Any, Any] = {
        HotswapError: _explain,
        HTTPException: _explain_http,
        PyMongoError: _explain_database,
        Exception: _explain_fault,
    }
    return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Guard, token, hosts)])


def _commands(backend: Backend) -> dict[str, Command]:
    commands, devices, refreshes = backend.commands, backend.devices, backend.refreshes
    unstarted = backend.unstarted
    return {
        "experiments": lambda _, body: {"id": backend.submit(body)},
        "templates/{id}/expand": lambda request, body: backend.templates.expand(_id(request), _parameters(body)),
        "experiments/{id}/cancel": lambda request, body: commands.cancel_experiment(
            _id(request), _actor(body), **_stopping(body)
        ),
        "experiments/{id}/move": lambda request, body: unstarted.move_experiment(_id(request), _to(body), _actor(body)),
        "tasks/{id}/move": lambda request, body: unstarted.move_task(_id(request), _to(body), _actor(body)),
        "tasks/{id}/edit": lambda request, body: unstarted.edit(_id(request), *_changes(body), _actor(body)),
        "tasks/{id}/cancel": lambda request, body: commands.cancel_task(_id(request), _actor(body), **_stopping(body)),
        "experiments/{id}/resume": lambda request, body: backend.resumption.resume(_id(request), _actor(body)),
        "tasks/{id}/skip": lambda request, body: backend.resumption.skip(_id(request), _actor(body)),
        "tasks/{id}/retry": lambda request, body: commands.retry(_id(request), _actor(body)),
        "devices/{id}/pause": lambda request, _: _device(backend, request, devices.pause),
        "devices/{id}/release": lambda request, _: _device(backend, request, devices.release),
        "devices/{id}/emergency_stop": lambda request, _: _device(backend, request, devices.emergency_stop),
        "samples/{id}/move": lambda request, body: backend.hand_moves.move(_id(request), _position(body), _actor(body)),
        "prompts/{id}/answer": lambda request, body: backend.prompts.answer(
            _id(request), _text(body, "answer"), _text(body, "note"), _actor(body)
        ),
        "refresh": lambda _, body: refreshes.request(_text(body, "rev"), _actor(body), "request", **_way(body)),
        "refresh/cancel": lambda _, body: refreshes.cancel(_actor(body)),
        "plan": lambda _, body: refreshes.plan(_text(body, "rev")),
        "rollback": lambda _, body: refreshes.roll_back(_number(body, "generation"), _actor(body), **_way(body)),
        "collect": lambda _, body: {"decisions": backend.collection.collect(dry_run=body.get("dry_run") is True)},
        "archive": lambda _, body: _archive(backend, body),
        "alarms/test": lambda _, body: _alarms(backend).test(_text(body, "channel")),
        "shutdown": lambda _, body: _shut_down(backend, body),
    }


def _device(backend: Backend, request: Request, change: Callable[[str], object]) -> Document:
    name = _id(request)
    if backend.records.devices.find_one({"_id": name}, {"_id": 1}) is None:
        raise NotFoundError(f"There is no device {name!r}; `lab devices` lists them.")
    change(name)
    return dict(backend.records.devices.find_one({"_id": name}) or {})


def _alarms(backend: Backend) -> AlarmManager:
    if backend.alarms is None:
        raise NotFoundError("This laboratory raises no alarms.")
    return backend.alarms


def _archive(backend: Backend, body: Document) -> Document:
    if backend.archive is None:
        raise NotFoundError("This laboratory archives nothing.")
    return backend.archive.archive(_text(body, "experiment"), dry_run=body.get("dry_run") is True)


def _shut_down(backend: Backend, body: Any) -> Document:
    backend.shut_down(force=body.get("force") is True)
    return {"stopping": True}


def _reading(query: Query) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return _reply(await run_in_threadpool(query, request))

    return endpoint


def _sending(records: Records) -> Callable[[Request], Any]:
    """Answers with a large result, piece by piece."""

    async def endpoint(request: Request) -> Response:
        file = await run_in_threadpool(lambda: ResultFiles(records.database).open(_id(request)))
        name = quote(file.filename or "data", safe="")
        headers = {
            "Content-Length": str(file.length),
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "X-Content-Type-Options": "nosniff",
        }
        return StreamingResponse(pieces(file), headers=headers, media_type="application/octet-stream")

    return endpoint


def _changing(command: Command) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        body = await _body(request)
        return _reply(await run_in_threadpool(command, request, body))

    return endpoint


def _reply(value: Any) -> Response:
    return JSONResponse(views.plain(value))


async def _body(request: Request) -> Document:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MAX_BODY:
            raise BodyError(f"The body is over {_MAX_BODY} bytes; send less at a time.")
    try:
        body = json.loads(bytes(data) or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise BodyError("The body must be a JSON object, {...}.")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _asked(request: Request, name: str) -> bool:
    return request.query_params.get(name, "") in ("1", "true")


def _actor(body: Document) -> str:
    return _text(body, "actor") or "http"


def _to(body: Document) -> str:
    return _text(body, "to") or "current"


def _position(body: Document) -> str | None:
    """Where a sample is put; leaving it out must not take the sample out."""
    if "position" not in body:
        raise BodyError("'position' must be the name of a place, or null for outside the laboratory.")
    return _text(body, "position")


def _changes(body: Document) -> tuple[Document, list[str]]:
    """The parameters to set, and the names of those to remove."""
    changes, removed = _parameters(body), body.get("remove", [])
    if not isinstance(removed, list) or not all(isinstance(name, str) for name in removed):
        raise BodyError(f"'remove' must be a list of names, not {removed!r}.")
    return changes, removed


def _parameters(body: Document) -> Document:
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BodyError(f"'parameters' must be an object, not {parameters!r}.")
    return parameters


def _way(body: Document) -> dict[str, bool]:
    """How a cutover is done, and whether its end is waited for, as far as that is said."""
    return {key: _switch(body, key) for key in ("barrier", "wait") if body.get(key) is not None}


def _stopping(body: Document) -> dict[str, bool]:
    """Whether the devices of what is cancelled are stopped."""
    return {"stop_devices": body.get("stop_devices") is not None and _switch(body, "stop_devices")}


def _switch(body: Document, key: str) -> bool:
    value = body[key]
    if not isinstance(value, bool):
        raise BodyError(f"{key!r} must be true or false, not {value!r}.")
    return value


def _text(body: Document, key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise BodyError(f"{key!r} must be a text, not {value!r}.")
    return value


def _number(body: Document, key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BodyError(f"{key!r} must be a whole number, not {value!r}.")
    return value


async def _explain(_: Request, error: HotswapError) -> Response:
    known = (code for kind, code in _CODES.items() if isinstance(error, kind))
    return _error(400 if isinstance(error, BodyError) else next(known, 422), str(error))


async def _explain_http(request: Request, error: HTTPException) -> Response:
    return _error(error.status_code, f"{request.method} {request.url.path}: {error.detail}.")


async def _explain_database(_: Request, error: PyMongoError) -> Response:
    log.error("The database failed a request: %s", error)
    return _error(503, "The database does not answer; see the lab's logs.")


async def _explain_fault(request: Request, _: Exception) -> Response:
    return _error(500, f"{request.method} {request.url.path} failed inside the lab; see the managers' log.")


def _error(code: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, code)
