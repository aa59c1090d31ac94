"""Who may talk to the HTTP API: programs with the token, and readers on this machine; no foreign web page."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_READING: Final = frozenset({"GET", "HEAD"})


class Guard:
    """ASGI middleware. ``hosts`` are the names under which the API may be addressed (None: any).

    The check of ``Host`` keeps out pages whose name was made to resolve to this machine, the check of ``Origin``
    all others.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str] | None = LOOPBACK_NAMES) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return _refuse(403, f"This API is not to be addressed as {host!r}; use 127.0.0.1.")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return _refuse(403, f"Pages of {origin!r} may not use this API.")
        if scope["type"] != "http" or (scope["method"] not in _READING and not self._knows_token(headers)):
            return _refuse(401, "Send the token of the lab, the file `token` in its state directory, as bearer.")
        return None

    def _knows_token(self, headers: Headers) -> bool:
        expected = f"Bearer {self._token}".encode()
        return hmac.compare_digest(headers.get("authorization", "").encode(), expected)


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _refuse(code: int, sentence: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else None
    return JSONResponse({"error": sentence}, code, headers)
