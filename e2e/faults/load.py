"""Open-loop load on several hosts behind one gateway: `python -m e2e.faults.load URL RATE HOST…`.

Each failed request is a line: host, status, version that answered (`none`: the router did).
"""

import asyncio
import sys

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=10)


async def send(session: aiohttp.ClientSession, url: str, host: str) -> None:
    """Send one request, and print it if it fails."""
    try:
        async with session.get(url, headers={"Host": host}) as answer:
            status, version = answer.status, answer.headers.get("X-Version", "none")
    except TimeoutError:
        status, version = 0, "none"
    except aiohttp.ClientError:
        status, version = 1, "none"
    if status >= 300 or status < 200:
        sys.stdout.write(f"{host} {status} {version}\n")
        sys.stdout.flush()


async def run(url: str, rate: float, hosts: list[str]) -> None:
    """Send `rate` requests per second to each host until the process ends."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=15)
    loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    async with aiohttp.ClientSession(timeout=TIMEOUT, connector=connector) as session:
        due = loop.time()
        while True:
            for host in hosts:
                due += 1 / rate / len(hosts)
                await asyncio.sleep(due - loop.time())
                task = asyncio.create_task(send(session, url, host))
                running.add(task)
                task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
