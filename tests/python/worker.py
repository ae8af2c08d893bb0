"""An agent that follows its prompt's first word; the tests of Link start it."""

import asyncio
import os
import sys

from link_agent import Failed, LinkAgent, Refused


async def work(a):
    order = a.prompt.split()[0]
    if order == "count":
        for n in range(40):
            await a.tool("counter", str(n))
            await a.output(f"{n} ")
            await a.progress(n * 2.5, "counting")
            await asyncio.sleep(0.05)
        await a.artifact("numbers.txt", "0 to 39")
        await a.artifact("big.txt", "x" * 300_000)
        await a.usage(3, 4, 0.5)
        return "counted"
    if order == "ask":
        return f"the answer is {await a.ask('What is it?')}"
    if order == "wait":
        await asyncio.sleep(3600)
    if order == "fail":
        raise Failed("as it was told", "permission_denied")
    raise KeyError(order)


async def main():
    agent = LinkAgent(sys.argv[1], os.environ["LINK_AGENT_KEY"], 2, ["counting"], sys.argv[2], backoff=(0.1, 0.5))
    try:
        await agent.run(work)
    except Refused as refused:
        sys.exit(refused.code % 256)


asyncio.run(main())
