"""One attempt, as the agent sees it: what to do, and ways to say how it goes.

Every frame gets a number and is kept until Link has acknowledged it. What is kept is sent again after a reconnect, so a
handler need not know whether there is a connection: it waits only when too much is kept.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Awaitable, Callable, Deque, Dict, Optional

#: Frames of one attempt that may wait to be acknowledged; then whoever says more waits.
KEPT_MAX = 512

Send = Callable[[Dict[str, Any]], Awaitable[None]]


class Assignment:
    """An attempt that Link has given to this agent."""

    def __init__(self, attempt: str, fence: int, context: Dict[str, Any], send: Send) -> None:
        self.id = attempt
        self.fence = fence
        #: What Link says about the work: ``prompt``, ``task``, ``delegation``, ``workspace``, ``on_behalf_of``.
        self.context = context
        #: Set when Link wants the work to stop; the handler is cancelled, too.
        self.cancelled = asyncio.Event()
        #: What people say about the task while the work goes on: ``{"from", "parts"}``, the newest 100.
        self.messages: "asyncio.Queue[Dict[str, Any]]" = asyncio.Queue(100)
        self.content_max = 256 * 1024
        self.frame_max = 1 << 20
        self._send = send
        self._next = 1
        self._kept: Deque[Dict[str, Any]] = deque()
        self._room = asyncio.Condition()
        self._order = asyncio.Lock()
        self._live = True
        self._ended = False
        self._questions: Dict[str, Dict[str, Any]] = {}
        self._answers: Dict[str, "asyncio.Future[Any]"] = {}

    @property
    def prompt(self) -> str:
        """What is asked for: the whole text."""
        return str(self.context.get("prompt", ""))

    async def progress(
        self, percent: Optional[float] = None, phase: Optional[str] = None, message: Optional[str] = None
    ) -> None:
        """Says that the work moved on; of what comes faster than Link tells it, the newest is told."""
        await self._say("progress", percent=percent, phase=phase, message=message)

    async def output(self, text: str) -> None:
        """Says the next piece of the answer being written."""
        if text:
            await self._say("output", text=text)

    async def tool(self, name: str, summary: str = "", ok: bool = True) -> None:
        """Says that a tool call has ended."""
        await self._say("tool", tool=name, ok=ok, summary=summary)

    async def artifact(
        self, name: str, content: Optional[str] = None, kind: str = "file", details: Optional[Dict[str, Any]] = None
    ) -> None:
        """Says that something was made or changed; a content that is too large is left out."""
        details = dict(details or {})
        if content is not None and len(content.encode()) > self.content_max:
            details.update(bytes=len(content.encode()), content="left out: too large")
            content = None
        await self._say("artifact", kind=kind, name=name, content=content, details=details or None)

    async def usage(self, input_tokens: int = 0, output_tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Says what was used so far, as totals."""
        await self._say("usage", input_tokens=input_tokens, output_tokens=output_tokens, cost_usd=cost_usd)

    async def ask(
        self, prompt: str, kind: str = "question", key: Optional[str] = None, details: Optional[Dict[str, Any]] = None
    ) -> Any:
        """Asks a person, and returns the answer. ``kind``: ``question``, ``approval``, ``auth`` or ``budget``.

        Cancelling this takes the question back.
        """
        key = key or f"q{self._next}"
        answer = self._answers.setdefault(key, asyncio.get_running_loop().create_future())
        frame = await self._say("interrupt", interrupt=key, kind=kind, prompt=prompt, details=details)
        if not answer.done():
            self._questions[key] = frame
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if not answer.done() and not self.cancelled.is_set():
                asyncio.ensure_future(self.withdraw(key))
            raise
        finally:
            self._questions.pop(key, None)
            self._answers.pop(key, None)

    async def withdraw(self, key: str) -> None:
        """Takes a question back."""
        self._questions.pop(key, None)
        await self._say("withdrawn", interrupt=key)

    async def submit(self, text: str = "") -> None:
        """Hands the work in; nothing can be said after that."""
        await self._end("submitted", text=text)

    async def fail(
        self, message: str, failure_class: Optional[str] = None, retry_after: Optional[float] = None
    ) -> None:
        """Says that the work ended without a result; the classes are those of ``docs/peers.md``."""
        retry_after_ms = None if retry_after is None else int(retry_after * 1000)
        await self._end("failed", **{"class": failure_class}, message=message, retry_after_ms=retry_after_ms)

    # What follows is for the connection.

    async def _stopped(self) -> None:
        await self._end("stopped")

    async def _end(self, what: str, **fields: Any) -> None:
        if not self._ended:
            self._ended = True
            await self._say(what, last=True, **fields)

    async def _say(self, what: str, last: bool = False, **fields: Any) -> Dict[str, Any]:
        if self._ended and not last:
            raise RuntimeError("the work was handed in, or has failed: nothing can be said about it any more")
        frame = {name: value for name, value in fields.items() if value is not None}
        frame.update(t=what, attempt=self.id, fence=self.fence)
        if len(json.dumps(frame).encode()) > self.frame_max - 64:
            raise ValueError(f"the frame is larger than {self.frame_max} bytes")
        async with self._room:
            await self._room.wait_for(lambda: last or len(self._kept) < KEPT_MAX or not self._live)
        async with self._order:
            frame["seq"] = self._next
            self._next += 1
            if self._live:
                self._kept.append(frame)
                await self._send(frame)
        return frame

    def _first_kept(self) -> int:
        return self._kept[0]["seq"] if self._kept else self._next

    def _is_settled(self) -> bool:
        return not self._live or (self._ended and not self._kept)

    async def _acknowledged(self, seq: int) -> None:
        while self._kept and self._kept[0]["seq"] <= seq:
            self._kept.popleft()
        async with self._room:
            self._room.notify_all()

    async def _resume(self, acked: int, resumed: Callable[[], None]) -> None:
        """Sends again what is kept, and the questions without an answer: their answers may have been lost."""
        async with self._order:
            await self._acknowledged(acked)
            resumed()
            kept = list(self._kept)
            numbers = {frame["seq"] for frame in kept}
            asked = [frame for frame in self._questions.values() if frame["seq"] not in numbers]
            for frame in asked + kept:
                await self._send(frame)

    def _answered(self, key: str, answer: Any) -> None:
        self._questions.pop(key, None)
        waiting = self._answers.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _told(self, message: Dict[str, Any]) -> None:
        if self.messages.full():
            self.messages.get_nowait()
        self.messages.put_nowait(message)

    async def _let_go(self) -> None:
        """Link no longer wants to hear of it."""
        self._live = False
        self._kept.clear()
        self.cancelled.set()
        async with self._room:
            self._room.notify_all()
