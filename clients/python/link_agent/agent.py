"""The connection to Link: it comes back after every cut, with what it still has."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from typing import Any, Awaitable, Callable, Dict, Iterable, Optional, Set, Tuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from .assignment import Assignment

log = logging.getLogger("link_agent")

Handler = Callable[[Assignment], Awaitable[Optional[str]]]

#: Close codes after which connecting again would be refused again.
FINAL = {4001: "the key is not, or no longer, good", 4003: "not let in", 4009: "another one of this name has connected"}


class Refused(Exception):
    """Link does not let this agent in, or no longer; connecting again changes nothing."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class Failed(Exception):
    """Raised by a handler to fail its attempt in a class of ``docs/peers.md``."""

    def __init__(self, message: str, failure_class: str = "agent_blocked", retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.failure_class = failure_class
        self.retry_after = retry_after


class LinkAgent:
    """An agent that connects to Link and works on what it is given."""

    def __init__(
        self,
        url: str,
        key: str,
        capacity: int = 1,
        skills: Iterable[str] = (),
        name: str = "default",
        backoff: Tuple[float, float] = (0.2, 10.0),
    ) -> None:
        base = url.rstrip("/").replace("http", "ws", 1) if url.startswith("http") else url.rstrip("/")
        self.url = base if base.endswith("/agents/connect") else base + "/agents/connect"
        self.name = name
        self.capacity = capacity
        self.skills = sorted(set(skills))
        #: What Link said when it let this agent in the last time.
        self.welcome: Dict[str, Any] = {}
        self._key = key
        self._backoff = backoff
        self._handler: Optional[Handler] = None
        self._held: Dict[str, Assignment] = {}
        self._working: Dict[str, "asyncio.Task[None]"] = {}
        self._socket: Optional[ClientConnection] = None
        #: Attempts that may be spoken about on this connection.
        self._open: Set[str] = set()
        self._tasks: Set["asyncio.Task[Any]"] = set()
        self._stopping: Optional[asyncio.Event] = None

    async def run(self, handler: Handler) -> None:
        """Works until :meth:`stop`; raises :class:`Refused` when Link does not want this agent."""
        self._handler = handler
        stopping = self._stopping = asyncio.Event()
        tries = 0
        try:
            while not stopping.is_set():
                try:
                    async with connect(
                        self.url, subprotocols=["link.agent.v1.json"], max_size=2 << 20, open_timeout=10, close_timeout=2
                    ) as socket:
                        await self._serve(socket)
                except (OSError, InvalidHandshake, ConnectionClosed, asyncio.TimeoutError) as error:
                    log.info("the connection to Link has ended: %s", error)
                if self.welcome:
                    tries, self.welcome = 0, {}
                await self._pause(stopping, tries)
                tries += 1
        finally:
            for task in [*self._working.values(), *self._tasks]:
                task.cancel()
            await asyncio.gather(*self._working.values(), *self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Ends the connection; what it has stays with Link until its lease is over."""
        if self._stopping is not None:
            self._stopping.set()
        if self._socket is not None:
            await self._socket.close()

    async def settled(self, timeout: float) -> bool:
        """Waits until nothing is left to do or to say; returns whether that came about in time."""
        until = asyncio.get_running_loop().time() + timeout
        while self._held and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.1)
        return not self._held

    async def _pause(self, stopping: asyncio.Event, tries: int) -> None:
        shortest, longest = self._backoff
        pause = random.uniform(shortest / 2, min(longest, shortest * 2**tries))
        try:
            await asyncio.wait_for(stopping.wait(), pause)
        except asyncio.TimeoutError:
            pass

    async def _serve(self, socket: ClientConnection) -> None:
        running = [
            {"attempt": one.id, "fence": one.fence, "seq": one._first_kept()} for one in self._held.values()
        ]
        hello = {"t": "hello", "token": self._key, "name": self.name, "capacity": self.capacity}
        await socket.send(json.dumps({**hello, "skills": self.skills, "running": running}))
        error = ""
        beating = None
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame["t"] == "welcome":
                    self.welcome, self._socket = frame, socket
                    log.info("connected to Link as %s", frame["instance"])
                    beating = self._spawn(self._beat(socket, frame["heartbeat_ms"] / 1000))
                elif frame["t"] == "error":
                    error = str(frame["message"])
                    log.warning("Link says: %s", error)
                else:
                    await self._heard(frame)
        except ConnectionClosed as closed:
            log.info("the connection to Link has ended: %s", closed)
        finally:
            self._socket = None
            self._open.clear()
            if beating is not None:
                beating.cancel()
        code = socket.close_code or 1006
        if code in FINAL:
            raise Refused(code, error or FINAL[code])
        if code == 4000 and not self.welcome:
            raise Refused(code, error or "Link does not understand this agent")

    async def _beat(self, socket: ClientConnection, every: float) -> None:
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.0))
            try:
                await socket.send('{"t":"heartbeat"}')
            except ConnectionClosed:
                return

    async def _heard(self, frame: Dict[str, Any]) -> None:
        kind, attempt = frame["t"], frame.get("attempt", "")
        held = self._held.get(attempt)
        if kind == "assign":
            if held is None:
                self._begin(frame)
            else:
                self._spawn(held._resume(0, lambda: self._open.add(attempt)))
        elif held is None:
            if kind == "resume":
                log.warning("Link wants an attempt that is not here: %s", attempt)
        elif kind == "resume":
            self._spawn(held._resume(frame["acked"], lambda: self._open.add(attempt)))
        elif kind == "ack":
            await held._acknowledged(frame["seq"])
            self._tidy(held)
        elif kind == "answer":
            held._answered(frame["interrupt"], frame["answer"])
        elif kind == "message":
            held._told({"from": frame["from"], "parts": frame["parts"]})
        elif kind == "cancel":
            if frame.get("reason") != "cancelled":
                self._held.pop(attempt, None)
                await held._let_go()
            held.cancelled.set()
            working = self._working.get(attempt)
            if working is not None:
                working.cancel()
            elif attempt in self._held:
                self._spawn(held._stopped())

    def _begin(self, frame: Dict[str, Any]) -> None:
        attempt = frame["attempt"]
        assignment = Assignment(attempt, frame["fence"], frame.get("context") or {}, self._sender(attempt))
        limits = self.welcome.get("limits", {})
        assignment.content_max = limits.get("content_bytes", assignment.content_max)
        assignment.frame_max = limits.get("frame_bytes", assignment.frame_max)
        self._held[attempt] = assignment
        self._open.add(attempt)
        working = asyncio.ensure_future(self._work(assignment))
        self._working[attempt] = working
        working.add_done_callback(lambda _: self._working.pop(attempt, None))

    async def _work(self, assignment: Assignment) -> None:
        assert self._handler is not None
        try:
            await assignment._say("accepted")
            text = await self._handler(assignment)
            await assignment.submit(text or "")
        except asyncio.CancelledError:
            if not assignment.cancelled.is_set():
                raise
            self._spawn(assignment._stopped())
        except Failed as failure:
            await assignment.fail(str(failure), failure.failure_class, failure.retry_after)
        except Exception as error:  # Whatever a handler raises ends its attempt, not the agent.
            log.exception("the handler failed")
            await assignment.fail(f"{type(error).__name__}: {error}"[:2000], "unknown")

    def _sender(self, attempt: str) -> Callable[[Dict[str, Any]], Awaitable[None]]:
        async def send(frame: Dict[str, Any]) -> None:
            socket = self._socket
            if socket is None or attempt not in self._open:
                return
            try:
                await socket.send(json.dumps(frame))
            except ConnectionClosed:
                pass  # It is kept, and sent again.

        return send

    def _tidy(self, held: Assignment) -> None:
        if held._is_settled():
            self._held.pop(held.id, None)
            self._open.discard(held.id)

    def _spawn(self, work: Awaitable[Any]) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
