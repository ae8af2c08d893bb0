"""What no schema can say, said to schemathesis. Only what is meant to be right is touched; what is meant to be wrong goes
out as it is."""

import datetime
import itertools
import json
import os
import urllib.parse

import requests
import schemathesis

NUMBERS = itertools.count(1)
KNOWN = json.load(open(os.environ["LINK_KNOWN"]))
ADDRESSES = itertools.cycle(KNOWN["addresses"])


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.definition.raw["operationId"] == "auth.logout_everywhere":
        send_another(case, KNOWN["leaver"])
    if case.operation.definition.raw["operationId"] == "auth.change_password":
        send_another(case, KNOWN["changer"])
    if case.operation.definition.raw["operationId"] in ("workspaces.remove_member", "workspaces.update_member"):
        remove_another(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = case.operation.definition.raw["operationId"]
    new_key(case, operation)
    if isinstance(case.body, dict):
        each_once(case.body)
        know_secrets(case.body, operation)
        fit_addresses(case, operation)
        name_someone(case, operation)
        name_what_is_there(case, operation)
        say_one(case, operation)
        expire_in_time(case)


def remove_another(case):
    """Ada has to stay a member of her own workspace, and its owner."""
    if (case.path_parameters or {}).get("user_id") == KNOWN["caller"].removeprefix("user:"):
        case.path_parameters["user_id"] = KNOWN["user_id"]


def send_another(case, who):
    """Ada's logins and password are needed for all the other operations: someone else ends and changes theirs."""
    if (case.headers or {}).get("Authorization") == KNOWN["headers"]["authorization"]:
        answer = requests.post(f"{KNOWN['url']}/api/v1/auth/login", json=who, timeout=20)
        case.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def new_key(case, operation):
    """A key that came with another request is refused, which is right; but generated keys are seldom different, and most
    requests would not reach what they are about."""
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"key-{next(NUMBERS)}"
    if operation != "projects.create" and isinstance(case.body, dict) and isinstance(case.body.get("key"), str):
        case.body["key"] = f"key-{next(NUMBERS)}"


def know_secrets(body, operation):
    """No schema knows a password, nor the code of a login that has just ended."""
    if operation == "auth.change_password" and next(NUMBERS) % 3:
        body["password"] = body["new_password"] = KNOWN["changer"]["password"]
    if operation == "auth.exchange_code" and next(NUMBERS) % 3:
        body["code"] = code_of_a_login()


def code_of_a_login():
    """Does what a browser does, up to the address of the front end."""
    browser, location = requests.Session(), f"{KNOWN['url']}/auth/oidc/start"
    while not location.startswith(f"{KNOWN['url']}/arrived"):
        location = browser.get(location, allow_redirects=False, timeout=20).headers["location"]
    return urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)["code"][0]


def each_once(body):
    """Ids that exist are few, and are put into lists of different values more than once."""
    for name in ("participants", "members", "depends_on"):
        if isinstance(body.get(name), list):
            body[name] = list(dict.fromkeys(body[name]))


def fit_addresses(case, operation):
    """Which addresses are right depends on how the agent is driven; and no stranger's server shall be called."""
    if operation == "agents.register":
        scripted = case.body.get("runtime") == "scripted"
        instances = case.body.get("instances") or []
    elif operation == "agents.add_instance":
        scripted = runtime(case.path_parameters["agent_id"]) == "scripted"
        instances = [case.body]
    elif operation.startswith("webhooks.") and isinstance(case.body.get("url"), str):
        # Nobody is called like this, ever.
        case.body["url"] = "https://link.invalid/events"
        return
    else:
        return
    for instance in instances:
        if scripted:
            instance["url"] = "script:say Hello."
        else:
            instance["url"] = next(ADDRESSES)


def runtime(agent):
    answer = requests.get(f"{KNOWN['url']}/api/v1/agents/{agent}", headers=KNOWN["headers"], timeout=20)
    return answer.json().get("runtime")


def name_someone(case, operation):
    """Of all addresses in the world, few belong to an account."""
    if operation == "workspaces.add_member" and next(NUMBERS) % 3:
        if isinstance(case.body.get("email"), str):
            case.body["email"] = KNOWN["email"]
        if isinstance(case.body.get("user_id"), str):
            case.body["user_id"] = KNOWN["user_id"]


def name_what_is_there(case, operation):
    """In a workspace that was made on the way there is nobody but the caller, and nothing yet: what a body names besides
    would not be found, and neither would what the request is about be reached."""
    if operation == "decisions.grant":
        # It has to name an agent.
        case.path_parameters["workspace_id"] = KNOWN["workspace_id"]
    if (case.path_parameters or {}).get("workspace_id") in (None, KNOWN["workspace_id"]):
        return
    for name, value in list(case.body.items()):
        if name in ("email", "user_id"):
            if isinstance(value, str):
                case.body[name] = KNOWN[name]
        elif name.endswith("_id"):
            case.body[name] = None
        elif name in ("participants", "members"):
            case.body[name] = value and [KNOWN["caller"]]


# Operations that want exactly one of these fields.
ONE_OF = {
    "workspaces.add_member": ("email", "user_id"),
    "penguin.reconcile": ("delegation_id", "instance_id", "attempt_id"),
    "tasks.move": ("before", "after"),
}


def say_one(case, operation):
    """Ids that exist are put into fields that were empty for a reason. And nothing runs yet in a workspace that was made
    on the way, so that nobody could ask what became of it."""
    fields = ONE_OF.get(operation, ())
    if operation == "penguin.reconcile" and case.path_parameters["workspace_id"] != KNOWN["workspace_id"]:
        case.path_parameters["workspace_id"] = KNOWN["workspace_id"]
        case.body["delegation_id"] = KNOWN["delegation_id"]
    given = [name for name in fields if isinstance(case.body.get(name), str)]
    for name in given[1:]:
        case.body[name] = None


def expire_in_time(case):
    """No schema knows what day it is."""
    if isinstance(case.body.get("expires_at"), str):
        tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
        case.body["expires_at"] = tomorrow.isoformat()
