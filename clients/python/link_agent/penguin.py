"""Joins a Penguin to Link: takes assignments, has Penguin do them, and says how it goes.

A broken connection to Penguin is never taken for a failure: Penguin is asked what became of the work, and only a Penguin
that does not answer for a while, or has forgotten, has lost it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Dict, List, Optional, Set

from .agent import Failed, LinkAgent
from .assignment import Assignment
from .penguin_http import CHAT_WAIT, Http, Lost, Status

log = logging.getLogger("link_agent.penguin")

#: How sessions are titled that belong to Link.
TITLE = "link:"
#: A Penguin that does not answer for so long has lost its work, in seconds.
UNREACHABLE_MAX = 15.0
#: Penguin mixes up runs that start together: they start so far apart, and wait for a sign of life so long.
START_GAP, START_MAX = 0.4, 10.0
#: A cancelled run may take so long to stop.
CANCEL_MAX = 9.0

TOOLS = {
    "write": "write_file", "create_file": "write_file", "edit": "edit_file", "patch_file": "edit_file",
    "read": "read_file", "patch": "apply_patch", "bash": "shell", "execute_command": "shell", "list": "list_files",
    "grep": "search", "grep_search": "search",
}


class Penguin:
    """Does the work of one Penguin server."""

    def __init__(self, url: str, api_key: Optional[str] = None, capacity: int = 4, turns_max: int = 100) -> None:
        self.http = Http(url, api_key, threads=4 * capacity + 8)
        self.turns_max = turns_max
        self._starting = asyncio.Lock()

    async def boot(self) -> str:
        """Returns what changes when Penguin restarts; raises when it does not answer."""
        health = await self.http.call("GET", "/health")
        return str((health or {}).get("uptime", {}).get("start_time"))

    async def stop_leftovers(self) -> None:
        """Stops what an earlier bridge left running: Link has given it to somebody else by now."""
        busy = await self.http.call("GET", "/session/status") or {}
        ours = {one["id"] for one in await self.http.call("GET", "/session", search=TITLE, limit="100") or []}
        for session in ours & {name for name, status in busy.items() if status.get("type") == "busy"}:
            log.info("stopping what was left running in session %s", session)
            await self.http.call("POST", f"/session/{session}/abort", {})

    async def work(self, assignment: Assignment) -> Optional[str]:
        """Has Penguin do an assignment; the handler for :class:`LinkAgent`."""
        try:
            boot = await self.boot()
            session = (await self.http.call("POST", "/session", {"title": TITLE + assignment.id}))["id"]
        except (Lost, Status) as error:
            raise Failed(f"Penguin cannot be reached: {error}", "connect_refused") from error
        return await _Run(self, assignment, boot, session).drive()


class _Run:
    def __init__(self, penguin: Penguin, assignment: Assignment, boot: str, session: str) -> None:
        self.penguin, self.http, self.assignment = penguin, penguin.http, assignment
        self.boot, self.session = boot, session
        self.seen = asyncio.Event()
        self.told: Set[str] = set()
        self.asking: Dict[str, "asyncio.Task[None]"] = {}
        self.text: List[str] = []

    async def drive(self) -> Optional[str]:
        following = asyncio.ensure_future(self.follow())
        try:
            async with self.penguin._starting:
                chat = asyncio.ensure_future(self.chat())
                seen = asyncio.ensure_future(self.seen.wait())
                await asyncio.wait({chat, seen}, timeout=START_MAX, return_when=asyncio.FIRST_COMPLETED)
                seen.cancel()
                await asyncio.sleep(START_GAP)
            try:
                answer = await chat
            except Lost as error:
                log.info("the answer was lost (%s): asking what became of the work", error)
                answer = await self.reconcile()
            await asyncio.sleep(0.2)  # The last events are on their way.
            return await self.hand_in(answer)
        except asyncio.CancelledError:
            await asyncio.shield(self.abort())
            raise
        finally:
            for task in [following, *self.asking.values()]:
                task.cancel()

    async def chat(self) -> Dict[str, Any]:
        name = "link_" + self.assignment.id
        body = {
            "text": self.assignment.prompt, "session_id": self.session, "client_message_id": name, "agent_id": name,
            "max_iterations": self.penguin.turns_max,
        }
        try:
            return await self.http.call("POST", "/chat/message", body, wait=CHAT_WAIT) or {}
        except Status as error:
            classes = {401: "provider_auth", 403: "provider_auth", 429: "provider_rate_limit"}
            fallback = "http_server_error" if error.code >= 500 else "misconfigured"
            raise Failed(f"Penguin refused the work: {error}", classes.get(error.code, fallback)) from error

    async def reconcile(self) -> Dict[str, Any]:
        """Asks until the run is over, or until there is nobody to ask."""
        loop = asyncio.get_running_loop()
        until = loop.time() + UNREACHABLE_MAX
        while True:
            try:
                if await self.boot_changed():
                    raise Failed("Penguin was restarted, and its run with it", "instance_lost")
                busy = (await self.http.call("GET", "/session/status") or {}).get(self.session, {})
                if busy.get("type") != "busy":
                    return await self.from_history()
                until = loop.time() + UNREACHABLE_MAX
            except (Lost, Status) as error:
                if loop.time() >= until:
                    raise Failed(f"Penguin does not answer any more: {error}", "instance_lost") from error
            await asyncio.sleep(1)

    async def boot_changed(self) -> bool:
        return await self.penguin.boot() != self.boot

    async def from_history(self) -> Dict[str, Any]:
        path = f"/conversations/{self.session}/history"
        history = (await self.http.call("GET", path, include_system="false") or {}).get("messages", [])
        last = next((entry for entry in reversed(history) if entry.get("role") != "system"), {})
        if last.get("role") != "assistant" or not str(last.get("content", "")).strip():
            return {"status": "provider_error", "error": {"message": "the run ended without an answer"}}
        return {"status": "completed", "response": last["content"]}

    async def hand_in(self, answer: Dict[str, Any]) -> str:
        for result in answer.get("action_results") or []:
            arguments = _json(result.get("tool_arguments"))
            failed = result.get("status") == "error" or bool(result.get("error"))
            await self.tool_ended(
                result.get("tool_call_id"), result.get("action", ""), arguments, result.get("result") or "", failed
            )
        await self.usage(answer.get("usage") or {}, "cost")
        status, words = answer.get("status"), str(answer.get("response") or "").strip()
        if answer.get("aborted") or status in ("stopped", "interrupted", "emergency_stop"):
            raise Failed("the run was stopped at Penguin, not by Link", "unknown")
        if status in ("provider_error", "provider_recoverable_error", "llm_empty_response_error"):
            raise _provider_failed(answer.get("error") or {})
        if status == "waiting_input" or "NEED_USER_CLARIFICATION" in words:
            raise Failed(f"the agent asks for clarification: {words[:500]}", "agent_blocked")
        if status == "max_iterations" and not words:
            raise Failed(f"the limit of {self.penguin.turns_max} turns ended the run", "budget_exhausted")
        if status not in ("completed", "implicit_completion", "pending_review", "max_iterations"):
            raise Failed(f"the run ended as `{status}`: {words[:500]}", "unknown")
        if not words:
            raise Failed("the agent stopped without a word", "evidence_missing")
        return words

    async def follow(self) -> None:
        """Reads the events of the session, again and again while there are any."""
        while True:
            try:
                async for event in self.http.events(self.session):
                    await self.event(event.get("type"), event.get("properties") or {})
            except (Lost, Status) as error:
                log.debug("no events: %s", error)
            await asyncio.sleep(1)

    async def event(self, kind: Optional[str], properties: Dict[str, Any]) -> None:
        if kind == "session.status" and (properties.get("status") or {}).get("type") == "busy":
            await self.working()
        elif kind == "message.updated":
            if properties.get("role") == "assistant":
                await self.working()
            await self.usage(
                {**{f"{k}_tokens": v for k, v in (properties.get("tokens") or {}).items()}, **properties}, "cost"
            )
        elif kind == "message.part.updated":
            await self.part(properties.get("part") or {}, properties.get("delta"))
        elif kind in ("permission.asked", "question.asked"):
            key = f"{kind.split('.')[0]}:{properties.get('id')}"
            if key not in self.told:
                self.told.add(key)
                self.asking[key] = asyncio.ensure_future(self.ask(key, properties))
        elif kind in ("permission.replied", "question.replied", "question.rejected"):
            asking = self.asking.pop(f"{kind.split('.')[0]}:{properties.get('requestID')}", None)
            if asking is not None:
                asking.cancel()

    async def working(self) -> None:
        if not self.seen.is_set():
            self.seen.set()
            await self.assignment.progress(phase="working")

    async def part(self, part: Dict[str, Any], delta: Any) -> None:
        if part.get("type") == "text" and isinstance(delta, str):
            await self.assignment.output(delta)
        if part.get("type") != "tool" or not part.get("callID"):
            return
        state = part.get("state") or {}
        arguments = state.get("input") if isinstance(state.get("input"), dict) else {}
        if state.get("status") == "running" and f"start:{part['callID']}" not in self.told:
            self.told.add(f"start:{part['callID']}")
            line = f"{_tool(part.get('tool'))}: {_summary(arguments)}"
            await self.assignment.progress(phase="tool", message=line)
        elif state.get("status") in ("completed", "error"):
            output = state.get("output")
            output = output if isinstance(output, str) else ""
            await self.tool_ended(part["callID"], part.get("tool"), arguments, output, state["status"] == "error")

    async def tool_ended(self, call: Any, tool: Any, arguments: Dict[str, Any], output: str, failed: bool) -> None:
        if not call or f"tool:{call}" in self.told:
            return
        self.told.add(f"tool:{call}")
        said = _json(output)
        ok = not failed and not said.get("error") and said.get("success") is not False
        ok = ok and not output.startswith("Error:")
        await self.assignment.tool(_tool(tool), _summary(arguments), ok)
        edited = said.get("files_edited")
        if ok and said.get("success") is True and isinstance(edited, list):
            content = arguments.get("content") if len(edited) == 1 else None
            for path in edited[:100]:
                await self.assignment.artifact(str(path)[:512], content if isinstance(content, str) else None)

    async def usage(self, usage: Dict[str, Any], cost: str) -> None:
        read, written = _number(usage.get("input_tokens")), _number(usage.get("output_tokens"))
        key = f"usage:{read}:{written}"
        if (read or written) and key not in self.told:
            self.told.add(key)
            await self.assignment.usage(int(read), int(written), _number(usage.get(cost)))

    async def ask(self, key: str, asked: Dict[str, Any]) -> None:
        kind, _, name = key.partition(":")
        if kind == "permission":
            about = asked.get("metadata") or {}
            operation = about.get("operation") or asked.get("permission") or "something"
            resource = about.get("resource") or next(iter(asked.get("patterns") or []), "")
            details = {"tool": about.get("tool_name"), "operation": operation, "resource": resource}
            answer = await self.assignment.ask(f"Allow {operation} {resource}".strip() + "?", "approval", key, details)
            # Only a clear yes is a yes.
            yes = answer is True or (isinstance(answer, dict) and answer.get("approve") is True)
            path, body = f"/approvals/{name}/{'approve' if yes else 'deny'}", {"scope": "once"} if yes else {}
        else:
            questions = asked.get("questions") or []
            prompt = "\n".join(str(one.get("question", "")) for one in questions) or "The agent asks a question."
            answer = await self.assignment.ask(prompt, "question", key, {"questions": questions})
            path, body = f"/question/{name}/reply", {"answers": _answers(answer)}
        for _ in range(3):
            try:
                await self.http.call("POST", path, body)
                return
            except Status as error:
                log.warning("Penguin does not take the answer: %s", error)
                return
            except Lost:
                await asyncio.sleep(0.5)

    async def abort(self) -> None:
        """Stops the run, and waits for a while until it stands still."""
        until = asyncio.get_running_loop().time() + CANCEL_MAX
        while asyncio.get_running_loop().time() < until:
            try:
                await self.http.call("POST", f"/session/{self.session}/abort", {})
                busy = (await self.http.call("GET", "/session/status") or {}).get(self.session, {})
                if self.seen.is_set() and busy.get("type") != "busy":
                    return
            except (Lost, Status) as error:
                log.info("the run may still go on: %s", error)
                return
            await asyncio.sleep(0.5)


def _provider_failed(error: Dict[str, Any]) -> Failed:
    message = str(error.get("message") or "the model answered nothing")
    code = error.get("status_code")
    if not isinstance(code, int) and "Error code: " in message:
        digits = message.split("Error code: ", 1)[1][:3]
        code = int(digits) if digits.isdigit() else None
    classes = {
        401: "provider_auth", 403: "provider_auth", 402: "provider_quota", 413: "context_overflow",
        429: "provider_rate_limit", 529: "provider_rate_limit",
    }
    categories = {"rate_limit": "provider_rate_limit", "auth": "provider_auth", "quota": "provider_quota"}
    failure_class = classes.get(code or 0) or categories.get(str(error.get("category"))) or "provider_error"
    retry_after = error.get("retry_after_seconds")
    wait = float(retry_after) if isinstance(retry_after, (int, float)) else None
    return Failed(f"the model's provider failed: {message[:500]}", failure_class, wait)


def _tool(name: Any) -> str:
    return TOOLS.get(str(name), str(name))


def _summary(arguments: Dict[str, Any]) -> str:
    for name in ("command", "filePath", "path", "pattern", "query", "url", "summary"):
        if isinstance(arguments.get(name), str):
            return arguments[name].split("\n", 1)[0][:160]
    return ""


def _json(text: Any) -> Dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 <= value < float("inf") else 0.0


def _answers(answer: Any) -> List[List[str]]:
    if isinstance(answer, dict):
        if isinstance(answer.get("answers"), list):
            return answer["answers"]
        text = next((answer[name] for name in ("text", "answer", "message") if isinstance(answer.get(name), str)), None)
        return [[text if text is not None else json.dumps(answer)]]
    return [[answer if isinstance(answer, str) else json.dumps(answer)]]


async def join(agent: LinkAgent, penguin: Penguin, every: float = 3.0) -> None:
    """Keeps a Penguin joined to Link, for as long as it lives: while it does not answer, Link gives it no work."""
    first = True
    while True:
        try:
            await penguin.boot()
            if first:
                await penguin.stop_leftovers()
        except (Lost, Status) as error:
            log.warning("Penguin does not answer: %s", error)
            await asyncio.sleep(every)
            continue
        first = False
        watching = asyncio.ensure_future(_watch(agent, penguin, every))
        try:
            await agent.run(penguin.work)
        finally:
            watching.cancel()


async def _watch(agent: LinkAgent, penguin: Penguin, every: float) -> None:
    misses = 0
    while misses < 2:
        await asyncio.sleep(every)
        try:
            await penguin.boot()
            misses = 0
        except (Lost, Status):
            misses += 1
    log.warning("Penguin does not answer any more: leaving Link until it does")
    await agent.settled(timeout=UNREACHABLE_MAX)
    await agent.stop()
