"""Fills a new Link with one of everything, and writes down who calls and which ids exist."""

import json
import os
import pathlib
import sys
import time

import requests

URL = os.environ["LINK_URL"]
RUN = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
# How often a field that names a thing names one that exists.
PROBABILITY = 0.7


class Person:
    def __init__(self, name):
        self.name, self.headers = name, {}
        account = {"email": f"{name.lower()}@example.org", "name": name, "password": "correct horse"}
        answer = self.post("/auth/register", account)
        self.id = answer["user"]["id"]
        self.headers = {"authorization": f"Bearer {answer['access_token']}"}

    def post(self, path, body):
        answer = requests.post(f"{URL}/api/v1{path}", json=body, headers=self.headers, timeout=20)
        answer.raise_for_status()
        return answer.json()


def wait_until_ready():
    for _ in range(600):
        try:
            if requests.get(f"{URL}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    sys.exit("the node did not become ready within a minute")


def things(ada, bob):
    """Makes one of everything; returns the ids by the field that names them."""
    workspace = ada.post("/workspaces", {"name": "Lab"})["id"]
    inside = f"/workspaces/{workspace}"
    ada.post(f"{inside}/members", {"user_id": bob.id, "role": "member"})
    project = ada.post(f"{inside}/projects", {"name": "Moon base"})["id"]
    tasks = [
        ada.post(f"/projects/{project}/tasks", {"title": f"Task {number}", "description": "Now."})["id"]
        for number in range(120)
    ]
    team = ada.post(f"{inside}/teams", {"name": "All", "members": [f"user:{ada.id}"]})["id"]
    # One hands work in for review, one asks, one works for ever.
    scripts = {"Scribe": "say Done.", "Asker": "ask Which colour?; say Done.", "Sleeper": "say Zzz; silent"}
    agents = [
        ada.post(
            f"{inside}/agents",
            {"name": name, "runtime": "scripted", "instances": [{"url": f"script:{script}", "slots": 64}]},
        )
        for name, script in scripts.items()
    ]
    anyone = {"approvals": 1, "by": "anyone"}
    delegations = [
        ada.post(f"/tasks/{task}/delegations", {"agent_id": agent["id"], "review": anyone})["id"]
        for task, agent in zip(tasks, agents * 30)
    ]
    hall = ada.post(f"{inside}/conversations", {"type": "channel", "title": "Hall"})["id"]
    webhook = ada.post(f"{inside}/webhooks", {"url": "https://link.invalid/events"})["id"]
    words = {"parts": [{"type": "text", "text": "hello"}]}
    message = ada.post(f"/conversations/{hall}/messages", words)["id"]
    return {
        "workspace_id": [workspace],
        "project_id": [project],
        "task_id": tasks,
        "depends_on": tasks,
        "before": tasks,
        "after": tasks,
        "team_id": [team],
        "agent_id": [agent["id"] for agent in agents],
        "instance_id": [agent["instances"][0]["id"] for agent in agents],
        "delegation_id": delegations,
        "conversation_id": [hall],
        "message_id": [message],
        "webhook_id": [webhook],
        "user_id": [ada.id, bob.id],
        "principal": [f"user:{ada.id}", f"user:{bob.id}", f"agent:{agents[0]['id']}", f"team:{team}"],
    }


def settings(ids):
    """The dictionaries of schemathesis: where a schema can only say `a UUID`, an id that exists."""
    lines = []
    for name, values in ids.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}", ""]
    lines.append("[parameters]")

    def bound(place, name):
        lines.append(f'"{place}" = {{ dictionary = "{name}", probability = {PROBABILITY} }}')

    for name in ids:
        if name.endswith("_id"):
            bound(f"path.{name}", name)
            # One of `email` and `user_id` says who joins: the hooks choose.
            if name != "user_id":
                bound(f"body.{name}", name)
    bound("path.participant", "principal")
    bound("body.participant", "principal")
    bound("body.assignee", "principal")
    bound("query.depends_on", "depends_on")
    for name in ("depends_on", "before", "after"):
        bound(f"body.{name}", name)
    bound("body.parent_id", "task_id")
    bound("body.refresh_token", "refresh_token")
    for name in ("participants", "members"):
        bound(f"body.{name}[*]", "principal")
    bound("body.depends_on[*]", "depends_on")
    return "\n".join(lines) + "\n"


def main():
    wait_until_ready()
    ada, bob, eve = Person("Ada"), Person("Bob"), Person("Eve")
    for name in ("Leaver", "Changer"):
        Person(name)
    headers = lambda person: [{"name": "Authorization", "value": person.headers["authorization"]}]
    people = {"auth": [{"name": person.name, "fixedHeaders": headers(person)} for person in (ada, eve)]}
    (RUN / "people.json").write_text(json.dumps(people))
    ids = things(ada, bob)
    # Each is good once.
    login = {"email": "bob@example.org", "password": "correct horse"}
    ids["refresh_token"] = [bob.post("/auth/login", login)["refresh_token"] for _ in range(12)]
    known = {
        "url": URL,
        "headers": ada.headers,
        # Nobody listens there.
        "addresses": ["http://127.0.0.1:9", "https://127.0.0.1:9/penguin"],
        "email": "bob@example.org",
        "user_id": bob.id,
        "workspace_id": ids["workspace_id"][0],
        "delegation_id": ids["delegation_id"][-1],
        "leaver": {"email": "leaver@example.org", "password": "correct horse"},
        "changer": {"email": "changer@example.org", "password": "correct horse"},
        "caller": f"user:{ada.id}",
    }
    (RUN / "known.json").write_text(json.dumps(known))
    fixed = (HERE / "schemathesis.toml").read_text().replace("${LINK_PEOPLE}", str(RUN / "people.json"))
    (RUN / "schemathesis.toml").write_text(fixed + "\n" + settings(ids))


main()
