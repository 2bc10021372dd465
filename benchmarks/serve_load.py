"""REST under load, on loopback, against the batch on the same records and processes.

    python -m benchmarks.serve_load                                   # 2,000 requests of 16 clients
    python -m benchmarks.serve_load --requests 100000

Prints records/s of `convert` (after its first result, so that loading models does not count) and of `POST /v1/structure`, the
share of the one in the other, p50, p99 and the longest answer, how many requests were lost (no answer, another status than 200,
another record's answer), and how long `/healthz` took all the while. The clients take time of the same processor; it is told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import orjson

from benchmarks.machine import print_machine
from benchmarks.speed import texts as texts_of
from tcmstruct.batch.resources import default_workers
from tcmstruct.batch.run import FIRST_WINDOW

ROOT = Path(__file__).parents[1]


def batch_rate(texts: list[str], n: int, workers: int) -> float:
    """Records/s of `convert` from its first result on."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.jsonl", Path(folder) / "OUT"
        with source.open("wb") as file:
            for number, text in enumerate(islice(cycle(texts), n)):
                file.write(orjson.dumps({"id": f"r{number}", "text": text}, option=orjson.OPT_APPEND_NEWLINE))
        subprocess.run([sys.executable, "-m", "tcmstruct", "convert", str(source), "-o", str(out), "--format", "jsonl", "--no-report",
                        "--workers", str(workers)], check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        timing = json.loads((out / "manifest.json").read_text("utf-8"))["timing"]
    return (n - FIRST_WINDOW) / (timing["structuring_s"] - timing["first_record_s"])


class Server:
    """`tcmstruct serve` in a process of its own."""

    def __init__(self, workers: int) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "tcmstruct", "serve", "--port", "0", "--workers", str(workers)], cwd=ROOT,
                                        stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"serving http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(found[1])
                return
        raise SystemExit("the server did not start")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """Status and body of one answer on an open connection."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
    return int(head[9:12]), await reader.readexactly(length)


def request_of(id: str, text: str) -> bytes:
    body = orjson.dumps({"id": id, "text": text})
    return (b"POST /v1/structure HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


async def load(port: int, texts: list[str], n: int, clients: int) -> dict[str, float]:
    jobs: Iterator[tuple[int, str]] = enumerate(islice(cycle(texts), n))
    took, health, answered, lost = [], [], 0, 0
    running = True

    async def client() -> None:
        nonlocal answered, lost
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        for number, text in jobs:
            began = time.perf_counter()
            try:
                status, body = await asked(reader, writer, request_of(f"r{number}", text))
                right = status == 200 and body.startswith(b'{"id":"r%d",' % number)
            except (OSError, asyncio.IncompleteReadError):
                right = False
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
            took.append(time.perf_counter() - began)
            answered += right
            lost += not right
        writer.close()

    async def doctor() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while running:
            began = time.perf_counter()
            status, _ = await asked(reader, writer, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            health.append((time.perf_counter() - began) if status == 200 else np.inf)
            await asyncio.sleep(0.1)
        writer.close()

    watch = asyncio.create_task(doctor())
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(client() for _ in range(clients)))
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    running = False
    await watch
    p50, p99, longest = np.quantile(took, [0.5, 0.99, 1.0]) * 1000
    return {"rate": answered / elapsed, "p50": p50, "p99": p99, "max": longest, "lost": lost, "sent": n,
            "health_p99": float(np.quantile(health, 0.99)) * 1000, "health_max": max(health) * 1000,
            "client_cpu": (after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) / elapsed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--batch-records", type=int, default=2000, help="records of the batch that is compared with")
    given = parser.parse_args()
    texts, origin = texts_of(min(2000, given.requests))
    print_machine()
    batch = batch_rate(texts, max(given.batch_records, 4 * FIRST_WINDOW), given.workers)
    server = Server(given.workers)
    try:
        asyncio.run(load(server.port, texts, 8 * given.clients, given.clients))  # every worker has its buffers then
        found = asyncio.run(load(server.port, texts, given.requests, given.clients))
    finally:
        code = server.stop()
    print(f"\n{given.clients} clients, {given.workers} worker processes, {found['sent']:,} requests; {origin}\n")
    print("| batch, records/s | REST, records/s | share | p50 ms | p99 ms | longest ms | lost | /healthz p99 | longest | clients, cores |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(f"| {batch:.1f} | {found['rate']:.1f} | {found['rate'] / batch:.0%} | {found['p50']:.0f} | {found['p99']:.0f} | "
          f"{found['max']:.0f} | {found['lost']:.0f} | {found['health_p99']:.1f} | {found['health_max']:.1f} | {found['client_cpu']:.2f} |")
    if code:
        print(f"\nthe server ended with {code}")


if __name__ == "__main__":
    main()
