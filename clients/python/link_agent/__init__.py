"""Lets an agent connect to Link as a peer.

    agent = LinkAgent("ws://127.0.0.1:7070", key, name="laptop", capacity=2)

    async def work(assignment):
        await assignment.progress(10, "reading")
        return "done: " + assignment.prompt

    asyncio.run(agent.run(work))
"""

from .agent import Failed, LinkAgent, Refused
from .assignment import Assignment

__all__ = ["Assignment", "Failed", "LinkAgent", "Refused"]
__version__ = "0.1.0"
