"""Talks to a running laboratory over its HTTP API; needs nothing but the standard library."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from hotswap.errors import HotswapError

Document = dict[str, Any]

_PIECE: Final = 1024 * 1024


class ClientError(HotswapError):
    """The laboratory refused, in its own words; ``status`` is the HTTP status, 0 when it did not answer at all."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class LabClient:
    """One laboratory. ``token`` is needed to change anything; ``timeout`` is in seconds per call.

    Every method raises ClientError when the laboratory refuses or does not answer. ``actor`` is written beside what
    this client does.
    """

    def __init__(self, url: str, token: str = "", *, actor: str = "client", timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._actor = actor
        self._timeout = timeout

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """Read ``/api/<path>``; entries of ``query`` that are None are left out."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        return self._call("GET", f"{path}?{urlencode(given)}" if given else path, None)

    def post(self, path: str, body: Document | None = None) -> Any:
        """Send a command to ``/api/<path>``."""
        return self._call("POST", path, body or {})

    def status(self) -> Document:
        return self._document(self.get("status"))

    def submit(self, experiment: Document) -> str:
        """Submit an experiment; returns its id."""
        return str(self.post("experiments", experiment)["id"])

    def expand(self, template: str, parameters: Document) -> Document:
        """The experiment that a template of current code makes of parameters; it is not submitted."""
        return self._document(self.post(f"templates/{quote(template, safe='')}/expand", {"parameters": parameters}))

    def experiment(self, experiment_id: str) -> Document:
        """One experiment with its tasks and samples."""
        return self._document(self.get(f"experiments/{quote(experiment_id, safe='')}"))

    def samples(self, version: str | None = None) -> list[Document]:
        """The newest samples, or those that a code version had a part in."""
        return list(self.get("samples", {"version": version}))

    def blame(self, sample: str, *, since: bool = False) -> Document:
        """The tasks that made a sample with their code; with ``since``, what of it has changed."""
        query = {"since": "true" if since else None}
        return self._document(self.get(f"samples/{quote(sample, safe='')}/blame", query))

    def task(self, task_id: str) -> Document:
        return self._document(self.get(f"tasks/{quote(task_id, safe='')}"))

    def download(self, result_id: str, write: Callable[[bytes], object]) -> None:
        """Read a large result piece by piece."""
        path = f"results/{quote(result_id, safe='')}"
        with self._asking("GET", path, None) as response:
            if response.status >= 400:
                self._understand(response.status, self._read(response))
            missing = int(response.headers["Content-Length"])
            while piece := self._read(response, _PIECE):
                write(piece)
                missing -= len(piece)
        if missing:
            raise ClientError(f"{self.url} broke off while it sent {path}; fetch it again.")

    def cancel(self, task_id: str, *, stop_devices: bool = False) -> Document:
        """End a task, or ask its worker to; with ``stop_devices``, each device it holds is stopped in an emergency."""
        return self._act(f"tasks/{quote(task_id, safe='')}/cancel", stop_devices=stop_devices)

    def cancel_experiment(self, experiment_id: str, *, stop_devices: bool = False) -> Document:
        """As ``cancel``, for all its tasks that have not ended."""
        return self._act(f"experiments/{quote(experiment_id, safe='')}/cancel", stop_devices=stop_devices)

    def retry(self, task_id: str) -> Document:
        return self._act(f"tasks/{quote(task_id, safe='')}/retry")

    def skip(self, task_id: str) -> Document:
        """Have a task that failed, is LOST or has not started count as COMPLETED."""
        return self._act(f"tasks/{quote(task_id, safe='')}/skip")

    def resume(self, experiment_id: str) -> Document:
        """Retry all failed tasks of an experiment."""
        return self._act(f"experiments/{quote(experiment_id, safe='')}/resume")

    def move(self, task_id: str, to: str = "current") -> Document:
        """Bind a task that has not started to code that was live, by its id or ``current``."""
        return self._act(f"tasks/{quote(task_id, safe='')}/move", to=to)

    def move_experiment(self, experiment_id: str, to: str = "current") -> Document:
        return self._act(f"experiments/{quote(experiment_id, safe='')}/move", to=to)

    def edit(self, task_id: str, parameters: Document, remove: Sequence[str] = ()) -> Document:
        """Change parameters of a task that has not started; ``remove`` names those that take their defaults."""
        return self._act(f"tasks/{quote(task_id, safe='')}/edit", parameters=parameters, remove=list(remove))

    def move_sample(self, sample: str, position: str | None) -> Document:
        """Record that a person put a sample into another place, or with None took it out of the laboratory."""
        return self._act(f"samples/{quote(sample, safe='')}/move", position=position)

    def prompts(self, status: str | None = None) -> list[Document]:
        """What people are asked, those that wait for an answer first."""
        return list(self.get("prompts", {"status": status}))

    def answer(self, prompt: str, answer: str | None = None, note: str | None = None) -> Document:
        """Answer a prompt, by its id or the beginning of it; the only option there is may be left out."""
        return self._act(f"prompts/{quote(prompt, safe='')}/answer", answer=answer, note=note)

    def signals(self, device: str, name: str | None = None, within: str | None = None) -> list[Document]:
        """The last value of a device's signals, or of the one called ``name``; with ``within`` ("2h"), all since."""
        return list(self.get(f"devices/{quote(device, safe='')}/signals", {"name": name, "within": within}))

    def pause(self, device: str) -> Document:
        return self._act(f"devices/{quote(device, safe='')}/pause")

    def release(self, device: str) -> Document:
        return self._act(f"devices/{quote(device, safe='')}/release")

    def emergency_stop(self, device: str) -> Document:
        return self._act(f"devices/{quote(device, safe='')}/emergency_stop")

    def refresh(self, rev: str | None = None, *, barrier: bool | None = None, wait: bool = True) -> Document:
        """Take code live; ``barrier`` None means as the lab's settings say. Without ``wait``, see `refresh_of`."""
        return self._act("refresh", rev=rev, **_way(barrier, wait=wait))

    def refresh_of(self, refresh_id: str) -> Document:
        """A refresh as it is now, with its ``barrier``, None where it has none."""
        return self._document(self.get(f"refreshes/{quote(refresh_id, safe='')}"))

    def cancel_barrier(self) -> Document:
        return self._act("refresh/cancel")

    def plan(self, rev: str | None = None) -> Document:
        return self._act("plan", rev=rev)

    def roll_back(self, generation: int, *, barrier: bool | None = None, wait: bool = True) -> Document:
        return self._act("rollback", generation=generation, **_way(barrier, wait=wait))

    def collect(self, *, dry_run: bool = False) -> Document:
        return self._act("collect", dry_run=dry_run)

    def test_alarms(self, channel: str | None = None) -> Document:
        """Send a test by a channel, or by all; why each failed, None where it did not."""
        return self._act("alarms/test", channel=channel)

    def archive(self, experiment: str | None = None, *, dry_run: bool = False) -> Document:
        """Archive an experiment, or all that have ended and are not archived yet."""
        return self._act("archive", experiment=experiment, dry_run=dry_run)

    def shut_down(self, *, force: bool = False) -> Document:
        return self._act("shutdown", force=force)

    def _act(self, path: str, **body: Any) -> Document:
        return self._document(self.post(path, {**body, "actor": self._actor}))

    def _document(self, value: Any) -> Document:
        if not isinstance(value, dict):
            raise ClientError(f"{self.url} answered with something else than a laboratory does.")
        return value

    def _call(self, method: str, path: str, body: Document | None) -> Any:
        try:
            data = None if body is None else json.dumps(body).encode()
        except RecursionError as error:
            raise ClientError("What is sent to the lab is nested too deeply; make it flatter.") from error
        with self._asking(method, path, data) as response:
            return self._understand(response.status, self._read(response))

    def _understand(self, status: int, data: bytes) -> Any:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ClientError(f"{self.url} answered with something else than JSON.") from error
        if status >= 400:
            raise ClientError(str(answer.get("error", answer)), status)
        return answer

    @contextmanager
    def _asking(self, method: str, path: str, body: bytes | None) -> Iterator[http.client.HTTPResponse]:
        # http.client goes straight to the laboratory: proxies of the environment are for the outside world.
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._timeout)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            with self._reaching():
                connection.request(method, f"{parts.path}/api/{path}", body, headers)
                response = connection.getresponse()
            yield response
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse, size: int | None = None) -> bytes:
        with self._reaching():
            return response.read(size)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise ClientError(f"The lab does not answer at {self.url} ({error}); see whether it runs.") from error


def _way(barrier: bool | None, *, wait: bool) -> dict[str, bool]:
    """How a cutover is done, as far as it is said."""
    said = {} if barrier is None else {"barrier": barrier}
    return said if wait else {**said, "wait": False}
