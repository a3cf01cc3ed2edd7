"""Programs that know nothing of a quota, behind the server and behind what people put there today.

Each program submits all clips at once, through the SDK that fits, and polls until it has its films: google-genai behind
the server and behind a plain reverse proxy, openai-python behind LiteLLM's proxy. Beside them `generate_many`, which
has the quota to itself. All constants are those of the documentation, for a quota by the minute; the quota here is by a
few seconds, so a retry's wait lasts several times longer beside it than in life: that favours those who only retry.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.rivals import MODEL, Task, aveo3

ALONE, DOOR, PROXY, LITELLM = "generate_many", "aveo3 serve", "reverse proxy, the SDK retries", "LiteLLM's proxy"

POLL = 0.25
"""Seconds between the polls of a program, whatever is in front of it."""

PATIENCE = 5.0
"""A contestant ends after this multiple of the optimum. Films that are not there by then are lost."""

WEIGHTS = {"one": 1.0, "two": 2.0, "five": 5.0}


@dataclass(frozen=True)
class Plan:
    """How many clips go through which quota: `limit` in any `period` seconds. A clip takes `latency` seconds."""

    clips: int = 50
    limit: int = 10
    period: float = 10.0
    latency: float = 2.0

    @property
    def mock_options(self) -> dict[str, Any]:
        """The options of the emulator, the same for every contestant."""
        quota = {"rpm": self.limit, "period": self.period, "counting": "sliding"}
        return {**quota, "latency": str(self.latency), "rtt": "0.02", "films": "bundled"}

    @property
    def optimum(self) -> float:
        """Seconds until the last film could be there."""
        return (self.clips - 1) // self.limit * self.period + self.latency


@dataclass(frozen=True)
class Run:
    """One contestant on the quota. `refusals` are the 429s that its programs saw; `at_google` those of Google."""

    kind: str
    clips: int
    made: int
    makespan: float
    refusals: int
    at_google: int


@dataclass(frozen=True)
class Shares:
    """How many of each caller's requests were among the first `counted`, while all callers had some waiting."""

    kind: str
    counted: int
    went: dict[str, int]

    @property
    def furthest(self) -> float:
        """The largest difference from a share by weight, as a part of that share."""
        total = sum(WEIGHTS.values())
        return max(abs(self.went[name] * total / (self.counted * weight) - 1) for name, weight in WEIGHTS.items())


Make = Callable[[str, Path, Counter[int]], Awaitable[None]]
"""Makes the clip of one prompt, writes its film, and counts the statuses of the answers."""


async def measure(plan: Plan, serve: Any, litellm: str | None, directory: Path | None) -> list[Run]:
    """One run of each contestant. `serve` runs the server: see `door.server`; `litellm` is the program, if any."""
    runs = []
    async with EmulatorProcess() as emulator:
        for kind in (ALONE, DOOR, PROXY, *([LITELLM] if litellm else [])):
            google = await emulator.start(plan.mock_options)
            with tempfile.TemporaryDirectory(dir=directory) as name:
                place = Path(name)
                films = place / "films"
                films.mkdir()
                statuses: Counter[int] = Counter()
                if kind == ALONE:
                    seconds = await _alone(plan, google, films)
                elif kind == DOOR:
                    async with serve(google, place / "out", f"{plan.limit}/{plan.period:g}s") as (url, _):
                        seconds = await _all_at_once(plan, films, statuses, _through_google(url, retries=False))
                elif kind == PROXY:
                    async with _reverse_proxy(google, statuses) as url:
                        seconds = await _all_at_once(plan, films, statuses, _through_google(url, retries=True))
                else:
                    async with _litellm(str(litellm), google, place) as (url, key):
                        seconds = await _all_at_once(plan, films, statuses, _through_openai(url, key))
                made = sum(1 for film in films.glob("*.mp4") if film.stat().st_size)
            books = await emulator.stop()
            runs.append(Run(kind, plan.clips, made, seconds, statuses[429], books["refused"]))
    return runs


async def _alone(plan: Plan, google: str, films: Path) -> float:
    prompts = tuple(f"a paper boat, number {number}" for number in range(plan.clips))
    task = Task(prompts, films, google, plan.limit, plan.period, plan.period, plan.clips)
    async with aveo3.client(task, poll_interval=POLL) as veo:
        began = time.perf_counter()
        await veo.generate_many(prompts)
        return time.perf_counter() - began


async def _all_at_once(plan: Plan, films: Path, statuses: Counter[int], make: Make) -> float:
    """Seconds until every program has its film, or an error, or lost patience."""
    began = time.perf_counter()
    numbers = range(plan.clips)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE * plan.optimum):
            calls = (make(f"a paper boat, number {number}", films / f"{number}.mp4", statuses) for number in numbers)
            await asyncio.gather(*calls, return_exceptions=True)
    return time.perf_counter() - began


def _through_google(url: str, *, retries: bool) -> Make:
    from google import genai
    from google.genai import types

    # Its defaults are five attempts with waits of about 1, 2, 4 and 8 s.
    retry = types.HttpRetryOptions() if retries else types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=url, api_version="v1", retry_options=retry)
    client = genai.Client(vertexai=True, api_key="benchmark", http_options=options).aio

    async def make(prompt: str, film: Path, statuses: Counter[int]) -> None:
        source = types.GenerateVideosSource(prompt=prompt)
        try:
            operation = await client.models.generate_videos(model=MODEL, source=source)
            while not operation.done:
                await asyncio.sleep(POLL)
                operation = await client.operations.get(operation)
        except genai.errors.APIError as error:
            statuses[error.code] += not retries  # with retries, the proxy counts what it passed on
            raise
        videos = operation.response.generated_videos if operation.response is not None else None
        if videos and videos[0].video is not None:
            videos[0].video.save(str(film))

    return make


def _through_openai(url: str, key: str) -> Make:
    import httpx2
    from openai import AsyncOpenAI

    seen: list[Counter[int]] = []

    async def count(response: Any) -> None:
        seen[0][response.status_code] += 1

    http = httpx2.AsyncClient(event_hooks={"response": [count]}, timeout=60)
    client = AsyncOpenAI(api_key=key, base_url=f"{url}/v1", http_client=http)  # two retries are its default

    async def make(prompt: str, film: Path, statuses: Counter[int]) -> None:
        seen[:] = [statuses]
        video: Any = await client.videos.create(model="veo", prompt=prompt)
        while video.status not in ("completed", "failed"):
            await asyncio.sleep(POLL)
            video = await client.videos.retrieve(video.id)
        content = await client.videos.download_content(video.id)
        await asyncio.to_thread(film.write_bytes, content.content)

    return make


@asynccontextmanager
async def _reverse_proxy(google: str, statuses: Counter[int]) -> AsyncIterator[str]:
    """What passes everything on, as nginx would."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def pass_on(request: web.BaseRequest) -> web.Response:
            body = await request.read()
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_A_HOP}
            async with http.request(request.method, f"{google}{request.rel_url}", data=body, headers=headers) as answer:
                statuses[answer.status] += 1
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_A_HOP}
                return web.Response(body=await answer.read(), status=answer.status, headers=kept)

        async with _listening(pass_on) as url:
            yield url


_OF_A_HOP = {"host", "connection", "content-length", "transfer-encoding"}


@asynccontextmanager
async def _listening(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    try:
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
        assert site._server is not None
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _litellm(program: str, google: str, place: Path) -> AsyncIterator[tuple[str, str]]:
    """The address and the key of LiteLLM's proxy, with five retries; a login of its own gets it a token."""

    async def token(_: web.BaseRequest) -> web.Response:
        return web.json_response({"access_token": "benchmark", "expires_in": 3600, "token_type": "Bearer"})

    key = f"sk-{secrets.token_hex(32)}"
    async with _listening(token) as login:
        account = {"type": "service_account", "client_email": "a@b.c", "private_key": _private_key()}
        (place / "login.json").write_text(json.dumps({**account, "token_uri": f"{login}/token"}), "utf-8")
        parameters = {
            "model": f"vertex_ai/{MODEL}",
            "vertex_project": "benchmark",
            "vertex_location": "us-central1",
            "vertex_credentials": str(place / "login.json"),
            "api_base": google,
        }
        config = {
            "model_list": [{"model_name": "veo", "litellm_params": parameters}],
            "router_settings": {"num_retries": 5},
            "general_settings": {"master_key": key},
        }
        (place / "litellm.json").write_text(json.dumps(config), "utf-8")  # JSON is YAML
        port = free_port()
        options = ("--config", str(place / "litellm.json"), "--host", "127.0.0.1", "--port", str(port))
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
        with (place / "litellm.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                program, *options, stdout=output, stderr=output, env=environment, cwd=place
            )
        try:
            await until_ready(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield f"http://127.0.0.1:{port}", key
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode("ascii")


async def shares(serve: Any, directory: Path | None, *, clips: int) -> Shares:
    """Three callers with weights push `clips` for each unit of weight at once: what went while all of them waited."""
    from aveo3.server.door.callers import Caller, CallerFile

    async with EmulatorProcess() as emulator:
        google = await emulator.start({"rpm": None, "latency": "1", "films": "bundled"})
        with tempfile.TemporaryDirectory(dir=directory) as name:
            keys = {}
            for caller, weight in WEIGHTS.items():
                keys[caller] = CallerFile(Path(name)).add(Caller(name=caller, weight=weight))
            async with serve(google, Path(name), "50/1s") as (url, _), aiohttp.ClientSession(url) as http:

                async def push(caller: str, number: str) -> None:
                    body = {"instances": [{"prompt": f"{caller} {number}"}]}
                    headers = {"x-goog-api-key": keys[caller]}
                    path = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"
                    async with http.post(path, json=body, headers=headers) as answer:
                        await answer.read()

                calls = [
                    push(caller, f"{number}.{each}")
                    for number in range(clips)
                    for caller, weight in WEIGHTS.items()
                    for each in range(round(weight))
                ]
                await asyncio.gather(*calls)
                total = clips * round(sum(WEIGHTS.values()))
                while await _accepted(http, google) < total * 0.6:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        books = await emulator.stop()
    order = [prompt.partition(" ")[0] for prompt in books["accepted_by_prompt"]]
    counted = order[total // 8 : round(total * 0.6)]  # the first went while the others were still being pushed
    return Shares("shares", len(counted), {caller: counted.count(caller) for caller in WEIGHTS})


async def _accepted(http: aiohttp.ClientSession, google: str) -> int:
    async with http.get(f"{google}/books.json") as answer:
        return int((await answer.json())["accepted"])


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until `url` answers 200. Raises `RuntimeError` if the process ends before."""
    async with aiohttp.ClientSession() as http:
        while process.returncode is None:
            with suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
    raise RuntimeError(f"the process behind {url} ended before it was ready")
