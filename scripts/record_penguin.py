#!/usr/bin/env python3
"""Records what a real Penguin 0.9.3 answers to the calls that the driver makes.

The recordings in tests/it/recordings/ keep the scripted Penguin of the tests honest: its answers must have the same
shape, and the driver must read the real ones as the tests expect. Needs tests/penguin/install.sh once.

usage: scripts/record_penguin.py            starts its own Penguin and model, records, stops them
       RECORD_URL=http://127.0.0.1:18390 scripts/record_penguin.py     uses a running one (started with AUTH=on)
"""
import json, os, pathlib, re, subprocess, threading, time, urllib.error, urllib.parse, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/it/recordings"
PORT, STUB_PORT, RUN = 18590, 18580, "/tmp/link-penguin-record"
URL = os.environ.get("RECORD_URL", f"http://127.0.0.1:{PORT}")
ORDINARY, LINK = "ordinary-client-key", "link-service-key"
TEXT_MAX = 400
LIST = '[[tool:list_files {"path":"."}]]'
WRITE = '[[tool:write_file {"path":"recorded.txt","content":"hello"}]]'


def call(method, path, body=None, key=ORDINARY):
    request = urllib.request.Request(
        URL + "/api/v1" + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": key, "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


class Recording:
    """One scenario: its exchanges in order, and the events of its session."""

    def __init__(self, name):
        self.name, self.exchanges, self.events, self.session = name, [], [], None

    def do(self, label, method, path, body=None, key=ORDINARY):
        status, answer = call(method, path, body, key)
        self.exchanges.append({"label": label, "method": method, "path": path, "status": status, "answer": answer})
        return answer

    def chat(self, label, text, **more):
        body = {"text": text, "session_id": self.session, "client_message_id": "link-request", "agent_id": "link-request", **more}
        return self.do(label, "POST", "/chat/message", body, LINK if "durable_request" in more else ORDINARY)

    def in_background(self, label, text, **more):
        thread = threading.Thread(target=self.chat, args=(label, text), kwargs=more)
        thread.start()
        return thread

    def prepare(self):
        title = f"Link attempt {self.name}"
        self.session = self.do("create", "POST", "/session", {"title": title})["id"]
        self.listen()

    def listen(self):
        request = urllib.request.Request(URL + "/api/v1/events/sse?session_id=" + self.session, headers={"X-API-Key": ORDINARY})
        answer = urllib.request.urlopen(request, timeout=60)

        def read():
            event_id = None
            try:
                for line in answer:
                    line = line.decode().rstrip("\n")
                    if line.startswith("id:"):
                        event_id = line[3:].strip()
                    elif line.startswith("data:"):
                        self.events.append({"sse_id": event_id, **json.loads(line[5:])})
            except (OSError, ValueError):
                pass

        threading.Thread(target=read, daemon=True).start()
        time.sleep(0.2)

    def look(self, label):
        self.do(f"{label}: status", "GET", "/session/status")
        self.do(f"{label}: messages", "GET", f"/session/{self.session}/message")

    def save(self):
        time.sleep(0.7)
        for exchange in self.exchanges:
            if exchange["path"] == "/session/status":  # other sessions are none of this scenario's business
                exchange["answer"] = {k: v for k, v in exchange["answer"].items() if k == self.session}
        text = json.dumps(trim({"session": self.session, "exchanges": self.exchanges, "events": self.events}), indent=1)
        text = re.sub(r"/tmp/[A-Za-z0-9._-]+", "/run", text)
        (OUT / f"{self.name}.json").write_text(text + "\n")
        print("recorded", self.name, len(self.events), "events")


def trim(value):
    if isinstance(value, dict):
        return {k: trim(v) for k, v in value.items()}
    if isinstance(value, list):
        return [trim(v) for v in value]
    if isinstance(value, str) and len(value) > TEXT_MAX:
        return value[:TEXT_MAX] + "…"
    return value


def authority():
    return {
        "workspace_id": "w", "user_id": "u", "run_id": "r", "requested_model_id": "stub/stub-1",
        "execution_source": "link_gateway", "provider_state_owner": "link_managed",
        "settlement_mode": "debit_link_credits", "allow_fallback_to_link_gateway": False,
    }


def durable(**more):
    return {"durable_request": True, "model": "stub/stub-1", "link_execution": authority(), **more}


def query(session):
    return urllib.parse.urlencode({"session_id": session, "client_message_id": "link-request"})


def plain_tool():
    r = Recording("plain_tool")
    r.do("health", "GET", "/health")
    r.do("capabilities", "GET", "/capabilities")
    r.prepare()
    r.do("search", "GET", "/session?search=Link%20attempt%20plain_tool&limit=8")
    r.look("before")
    run = r.in_background("chat", f"Do it {LIST} {WRITE} [[words:5]] [[delay:0.3]]", max_iterations=20)
    time.sleep(1.2)
    r.look("during")
    run.join()
    r.look("after")
    r.do("history", "GET", f"/conversations/{r.session}/history?include_system=false")
    r.do("unknown session", "GET", "/session/none/message")
    r.save()


def failures():
    r = Recording("provider_errors")
    for label, text in (("500", "[[http:500]]"), ("429", "[[http:429]]"), ("cut", "[[words:8]] [[cut]]")):
        r.session = call("POST", "/session", {"title": "t"})[1]["id"]
        r.chat(label, f"boom {text}")
    for label, text in (("durable 402", "[[http:402]]"), ("durable 429", "[[http:429]]"), ("durable 401", "[[http:401]]"),
                        ("durable cut", "[[words:8]] [[cut]]"), ("durable empty", "[[say:]]")):
        r.session = "link-" + os.urandom(8).hex()
        r.chat(label, f"boom {text}", **durable())
    r.save()


def endings():
    r = Recording("endings")
    finish = '[[tool:finish_task {"status":"%s","summary":"the summary"}]] [[say:last words]]'
    for label, text, more in (
        ("words", "[[say:last words]]", {}),
        ("blank", "[[say: ]]", {}),
        ("finished", finish % "done", {}),
        ("blocked", finish % "blocked", {}),
        ("clarification", "[[say:NEED_USER_CLARIFICATION which colour?]]", {}),
        ("limit", f"{LIST} {LIST} {LIST}", {"max_iterations": 2}),
        ("limit with words", f"{LIST} [[say:last words]]", {"max_iterations": 2}),
    ):
        r.session = call("POST", "/session", {"title": "t"})[1]["id"]
        r.chat(label, f"work {text}", **more)
        r.do(f"{label}: history", "GET", f"/conversations/{r.session}/history?include_system=false")
    r.save()


def abort():
    r = Recording("abort")
    r.prepare()
    run = r.in_background("chat", f"work {LIST} [[words:40]] [[delay:0.3]]")
    time.sleep(1.5)
    r.do("abort", "POST", f"/session/{r.session}/abort", {})
    run.join()
    time.sleep(0.5)
    r.look("after")
    r.do("abort of an unknown session", "POST", "/session/none/abort", {})
    r.save()


def permission():
    r = Recording("permission")
    r.prepare()
    outside = '[[tool:write_file {"path":"%s-outside/out.txt","content":"x"}]]' % RUN
    run = r.in_background("chat", f"work {outside} {outside} [[say:done]]")
    for verb in ("deny", "approve"):
        pending = []
        while not pending:
            time.sleep(0.3)
            pending = call("GET", f"/permission?session_id={r.session}")[1]
        r.do(f"{verb}: pending", "GET", f"/permission?session_id={r.session}")
        r.do(verb, "POST", f"/approvals/{pending[0]['id']}/{verb}", {"scope": "once"} if verb == "approve" else {})
    run.join()
    r.do("answered again", "POST", f"/approvals/{pending[0]['id']}/deny", {})
    r.do("questions", "GET", f"/question?session_id={r.session}")
    r.save()


def receipts():
    r = Recording("durable")
    r.session = "link-" + os.urandom(8).hex()
    r.listen()
    look = lambda label: r.do(label, "GET", f"/link/chat-request?{query(r.session)}", None, LINK)
    look("absent")
    text = f"work {WRITE} [[words:5]] [[delay:0.3]]"
    run = r.in_background("chat", text, **durable(max_iterations=20))
    time.sleep(0.8)
    look("accepted")
    r.chat("again while it runs", text, **durable(max_iterations=20))
    run.join()
    look("completed")
    r.chat("again afterwards", text, **durable(max_iterations=20))
    r.chat("other text", "something else", **durable(max_iterations=20))
    r.do("link key elsewhere", "GET", "/session/status", None, LINK)
    r.do("no key", "GET", "/session/status", None, "wrong")
    r.save()
    r = Recording("durable_cancel")
    r.session = "link-" + os.urandom(8).hex()
    run = r.in_background("chat", "work [[first:20]]", **durable(max_iterations=20))
    time.sleep(1)
    r.do("cancel", "POST", f"/link/chat-request/cancel?{query(r.session)}", {}, LINK)
    run.join()
    r.do("cancelled", "GET", f"/link/chat-request?{query(r.session)}", None, LINK)
    r.save()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    script = ROOT / "tests/penguin/start_penguin.sh"
    own = "RECORD_URL" not in os.environ
    env = {**os.environ, "RUN": RUN, "PENGUIN_PORT": str(PORT), "STUB_PORT": str(STUB_PORT), "AUTH": "on"}
    if own:
        subprocess.run(["rm", "-rf", RUN], check=True)
        subprocess.run([script, "start"], env=env, check=True)
    try:
        for scenario in (plain_tool, failures, endings, abort, permission, receipts):
            scenario()
    finally:
        if own:
            subprocess.run([script, "stop"], env=env, check=True)


if __name__ == "__main__":
    main()
