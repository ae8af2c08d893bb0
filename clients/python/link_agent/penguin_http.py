"""Penguin's HTTP and its event stream, with nothing but the standard library, in threads of their own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, AsyncIterator, Dict, Optional
from urllib.parse import quote, urlencode, urlsplit

#: Most bytes of an answer.
BODY_MAX = 64 << 20
#: How long a call may take that does not run the work.
CALL_WAIT = 10.0
#: How long the work may take.
CHAT_WAIT = 24 * 3600.0


class Lost(Exception):
    """There was no answer: what became of the request is unknown."""


class Status(Exception):
    """Penguin answered with an error."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"HTTP {code}{': ' if detail else ''}{detail}")
        self.code = code


class Http:
    """One Penguin and the key to it."""

    def __init__(self, url: str, api_key: Optional[str], threads: int) -> None:
        parts = urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no address: write http://HOST:PORT")
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._base = parts.path.rstrip("/") + "/api/v1"
        self._headers = {"content-type": "application/json", **({"x-api-key": api_key} if api_key else {})}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="penguin")

    async def call(self, method: str, path: str, body: Any = None, wait: float = CALL_WAIT, **query: str) -> Any:
        """Sends a request and reads its answer."""
        where = self._base + path + ("?" + urlencode(query) if query else "")
        return await self._in_thread(self._call, method, where, body, wait)

    async def events(self, session: str) -> AsyncIterator[Dict[str, Any]]:
        """Reads the events of a session until the stream ends; closing the iterator closes it."""
        connection = self._connection(None)
        try:
            path = f"{self._base}/events/sse?session_id={quote(session)}"
            response = await self._in_thread(self._open, connection, path)
            while True:
                event = await self._in_thread(_next_event, response)
                if event is None:
                    return
                yield event
        finally:
            _cut(connection)

    def close(self) -> None:
        """Lets go of the threads."""
        self._pool.shutdown(wait=False)

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def _connection(self, wait: Optional[float]) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=wait)

    def _call(self, method: str, path: str, body: Any, wait: float) -> Any:
        connection = self._connection(wait)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            response = connection.getresponse()
            text = response.read(BODY_MAX)
        except ConnectionRefusedError as error:
            raise Lost("the connection was refused") from error
        except (OSError, http.client.HTTPException) as error:
            raise Lost(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            answer = None
        if response.status >= 400:
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise Status(response.status, detail if isinstance(detail, str) else "")
        return answer

    def _open(self, connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(CALL_WAIT)
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            if connection.sock is not None:
                connection.sock.settimeout(None)
        except (OSError, http.client.HTTPException) as error:
            raise Lost(str(error)) from error
        if response.status != 200:
            raise Status(response.status, "the events cannot be read")
        return response


def _next_event(response: http.client.HTTPResponse) -> Optional[Dict[str, Any]]:
    while True:
        try:
            line = response.readline()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return None
        if not line:
            return None
        if line.startswith(b"data:"):
            try:
                event = json.loads(line[5:])
            except ValueError:
                continue
            if isinstance(event, dict):
                return event


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
