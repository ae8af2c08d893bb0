"""``python -m link_agent penguin --url http://127.0.0.1:8000 --link ws://127.0.0.1:7070``"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

from . import __version__
from .agent import LinkAgent, Refused
from .penguin import Penguin, join


def main() -> int:
    """Runs the command; exit code 0 when it was ended, 1 when Link refuses, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="link_agent", description="Joins an agent to Link as a peer.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    penguin = commands.add_parser("penguin", help="join a Penguin 0.9.3 server")
    penguin.add_argument("--url", default="http://127.0.0.1:8000", help="where Penguin is (default %(default)s)")
    penguin.add_argument("--link", default="ws://127.0.0.1:7070", help="where Link is (default %(default)s)")
    penguin.add_argument("--name", default="penguin", help="which of the agent's servers this is (default %(default)s)")
    penguin.add_argument("--capacity", type=int, default=4, help="attempts at the same time (default %(default)s)")
    penguin.add_argument("--skill", action="append", default=[], help="what it is good at; may be given several times")
    penguin.add_argument("--turns", type=int, default=100, help="model turns of one attempt (default %(default)s)")
    penguin.epilog = (
        "LINK_AGENT_KEY is a key of the agent (link agent create-key); PENGUIN_API_KEY is Penguin's, if it wants one."
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(message)s")
    key = os.environ.get("LINK_AGENT_KEY", "")
    if not key:
        parser.error("LINK_AGENT_KEY is missing: make one with `link agent create-key`")
    if not 1 <= arguments.capacity <= 64:
        parser.error("--capacity must be 1 to 64")
    try:
        asyncio.run(_penguin(arguments, key))
    except Refused as refused:
        print(f"Link refuses: {refused}", file=sys.stderr)
        return 1
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        pass
    return 0


async def _penguin(arguments: argparse.Namespace, key: str) -> None:
    api_key = os.environ.get("PENGUIN_API_KEY")
    penguin = Penguin(arguments.url, api_key, arguments.capacity, arguments.turns)
    skills = arguments.skill
    agent = LinkAgent(arguments.link, key, arguments.capacity, skills, arguments.name)
    await join(agent, penguin)


if __name__ == "__main__":
    sys.exit(main())
