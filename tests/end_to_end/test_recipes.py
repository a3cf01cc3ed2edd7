"""The recipes of the guide for other people's programs: web app, workers, proxy. Each runs as its users run it.

They are skipped where their programs are not installed: `pip install '.[recipes]'`, and redis-server.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3.mock import MockServer
from tests.support.emulated import emulator
from tests.support.guide import instructions, recipe
from tests.support.ports import free_port
from tests.support.served import Served, served

pytestmark = [pytest.mark.real_time, pytest.mark.whole]

SERVER = "http://127.0.0.1:8790"
QUOTA, PERIOD = 4, 1


def need(*modules: str, program: str | None = None) -> None:
    for name in modules:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install '.[recipes]'")
    if program is not None and shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")


@asynccontextmanager
async def program(*command: object, cwd: Path, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program, with its children in a group of its own, until the end of the block."""
    environment = {**os.environ, **variables}
    child = await asyncio.create_subprocess_exec(*map(str, command), cwd=cwd, env=environment, start_new_session=True)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), 20)
        except TimeoutError:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


@asynccontextmanager
async def at_a_quota(tmp_path: Path) -> AsyncIterator[tuple[MockServer, Served]]:
    async with (
        emulator(rpm=QUOTA, period=PERIOD, latency="0.3") as google,
        served(google, output_dir=tmp_path / "kept", rate_limit=QUOTA, rate_period=PERIOD) as server,
    ):
        yield google, server


async def answering(url: str, child: asyncio.subprocess.Process) -> None:
    """Wait until something answers at `url`."""
    async with aiohttp.ClientSession() as http:
        while child.returncode is None:
            with suppress(aiohttp.ClientError):
                async with http.get(url):
                    return
            await asyncio.sleep(0.1)
    raise AssertionError(f"it ended with {child.returncode}")


def once_each(google: MockServer, films: int) -> None:
    assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(films)}
    assert google.books.refused == 0


async def at_its_end(asked: Callable[[], Any]) -> dict[str, Any]:
    """What a poll tells when it is neither queued nor in progress any more."""
    while True:
        async with asked() as answer:
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
        if told["status"] not in ("queued", "in_progress"):
            return told
        await asyncio.sleep(0.3)


async def test_a_browser_of_the_fastapi_app_gets_its_films(tmp_path: Path) -> None:
    need("fastapi", "uvicorn")
    (tmp_path / "app.py").write_text(recipe("recipes", "fastapi").text, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", port, "--workers", 2]
    async with at_a_quota(tmp_path) as (google, server):
        async with (
            program(*command, cwd=tmp_path, AVEO3_URL=server.url) as app,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as browser,
        ):
            await answering(f"http://127.0.0.1:{port}/docs", app)

            async def film(number: int) -> bytes:
                order: dict[str, Any] = {
                    "json": {"prompt": f"boat {number}"},
                    "headers": {"Idempotency-Key": f"click-{number}"},
                }
                async with browser.post("/films", **order) as first, browser.post("/films", **order) as again:
                    assert first.status == 202
                    name = (await first.json())["id"]
                    assert (await again.json())["id"] == name
                async with browser.get(f"/films/{name}/content") as early:
                    assert early.status in (409, 200)  # nearly always too early
                told = await at_its_end(lambda: browser.get(f"/films/{name}"))
                assert told == {"status": "completed", "why": None}
                async with browser.get(f"/films/{name}/content") as answer:
                    assert answer.content_type == "video/mp4"
                    return await answer.read()

            films = await asyncio.gather(*map(film, range(8)))
            async with browser.get("/films/video_none") as answer:
                assert answer.status == 404
        assert all(each[4:8] == b"ftyp" for each in films)
        once_each(google, 8)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


ORDERS = """
import sys
from celery import group
from tasks import film
print(*group(film.s(f"boat {n}") for n in range(int(sys.argv[1])))().get(timeout=120), sep="\\n")
"""


async def test_four_workers_of_celery_make_films_on_one_quota_and_one_is_killed(tmp_path: Path) -> None:
    need("celery", "redis", program="redis-server")
    port, films = free_port(), 12
    text = recipe("recipes", "celery").text.replace("redis://127.0.0.1", f"redis://127.0.0.1:{port}")
    (tmp_path / "tasks.py").write_text(text.replace("countdown=10", "countdown=1"), "utf-8")
    redis = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]
    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", 4, "--loglevel", "error"]
    async with at_a_quota(tmp_path) as (google, server):
        where = {"AVEO3_URL": server.url, "PYTHONPATH": str(tmp_path)}
        async with (
            program(*redis, cwd=tmp_path),
            program(*worker, cwd=tmp_path, **where) as workers,
            program(sys.executable, "-c", ORDERS, films, cwd=tmp_path, **where) as orders,
        ):
            while google.books.accepted < QUOTA:
                assert workers.returncode is None
                await asyncio.sleep(0.05)
            os.kill(children_of(workers.pid)[-1], signal.SIGKILL)
            await server.killed_while(google, kills=1, quota=2 * QUOTA)
            assert await orders.wait() == 0
        made = list((tmp_path / "films").iterdir())
        assert len(made) == films
        assert all(file.suffix == ".mp4" and file.read_bytes()[4:8] == b"ftyp" for file in made)
        once_each(google, films)


async def test_litellms_proxy_passes_films_on(tmp_path: Path) -> None:
    need("litellm", "uvicorn", "orjson")
    text = recipe("recipes", "litellm proxy").text
    port, films = free_port(), 4
    async with at_a_quota(tmp_path) as (google, server):
        (tmp_path / "config.yaml").write_text(text.replace(SERVER, server.url), "utf-8")
        proxy = Path(sys.executable).with_name("litellm"), "--config", "config.yaml", "--port", port
        key = f"sk-{os.urandom(32).hex()}"
        more = {"AVEO3_KEY": "anything", "LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        async with (
            program(*proxy, cwd=tmp_path, **more) as child,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as http,
        ):
            await answering(f"http://127.0.0.1:{port}/health/liveliness", child)

            async def film(number: int) -> bytes:
                body = {"model": "veo", "prompt": f"boat {number}"}
                async with http.post("/v1/videos", json=body) as answer:
                    assert answer.status == 200, await answer.text()
                    name = (await answer.json())["id"]
                told = await at_its_end(lambda: http.get(f"/v1/videos/{name}"))
                assert told["status"] == "completed"
                async with http.get(f"/v1/videos/{name}/content") as answer:
                    return await answer.read()

            made = await asyncio.gather(*map(film, range(films)))
        assert all(each[4:8] == b"ftyp" for each in made)
        once_each(google, films)


async def test_the_container_is_healthy_and_process_1_ends_at_sigterm(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root makes a process 1")
    steps = dict(instructions(recipe("recipes", "Dockerfile").text))
    port = str(free_port())
    words = [word.replace("8790", port) for word in json.loads(steps["CMD"])]
    health = steps["HEALTHCHECK"].partition(" CMD ")[2].replace("8790", port).replace("python", sys.executable, 1)
    serve, add = ([sys.executable, "-m", "aveo3", *command] for command in (words, ["serve", "keys", "add", "app"]))
    async with emulator() as google:
        settings = {"VEO3_BASE_URL": google.url, "VEO3_BACKEND": "vertex", "VEO3_OUTPUT_DIR": str(tmp_path)}
        more: dict[str, Any] = {"env": {**os.environ, **settings, "GOOGLE_API_KEY": "key"}}
        assert await (await asyncio.create_subprocess_exec(*add, **more)).wait() == 0
        namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        outer = await asyncio.create_subprocess_exec(*namespace, *serve, **more)
        try:
            await answering(f"http://127.0.0.1:{port}/readyz", outer)
            assert await (await asyncio.create_subprocess_shell(health)).wait() == 0
            os.kill(children_of(outer.pid)[0], signal.SIGTERM)
            assert await asyncio.wait_for(outer.wait(), 10) == 0
        finally:
            if outer.returncode is None:
                outer.kill()
        assert await (await asyncio.create_subprocess_shell(f"{health} 2>/dev/null")).wait() != 0


OPENAI_NODE = {
    "name": "Film",
    "type": "@n8n/n8n-nodes-langchain.openAi",
    "typeVersion": 2,
    "position": [200, 0],
    "credentials": {"openAiApi": {"id": "server", "name": "server"}},
    "parameters": {
        "resource": "video",
        "operation": "generate",
        "modelId": {"__rl": True, "mode": "id", "value": "veo-3.1-generate-001"},
        "prompt": "boat 0",
        "seconds": 8,
        "size": "1280x720",
    },
}


async def n8n(tmp_path: Path, *words: str) -> str:
    variables = {"N8N_USER_FOLDER": str(tmp_path), "N8N_DIAGNOSTICS_ENABLED": "false"}
    child = await asyncio.create_subprocess_exec(
        "n8n", *words, cwd=tmp_path, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate()
    assert child.returncode == 0, said.decode("utf-8", "replace")[-3000:]
    return said.decode("utf-8")


async def films_of(tmp_path: Path, workflow: dict[str, Any]) -> list[Any]:
    """What the node `Film` has given out when the workflow has run."""
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps({**workflow, "id": "films"}), "utf-8")
    await n8n(tmp_path, "import:workflow", f"--input={file}")
    said = await n8n(tmp_path, "execute", "--id=films", "--rawOutput")
    run = json.loads(said[said.index("{\n") :])
    assert run["status"] == "success"
    return [item for part in run["data"]["resultData"]["runData"]["Film"] for item in part["data"]["main"][0]]


def is_video(item: Any) -> bool:
    return bool(item["binary"]["data"]["mimeType"] == "video/mp4")


async def test_n8n_gets_its_films_while_the_server_is_killed(tmp_path: Path) -> None:
    need(program="n8n")
    films = 12
    workflow = json.loads(recipe("recipes", "n8n").text)
    [prompts] = [node for node in workflow["nodes"] if node["name"] == "Prompts"]
    prompts["parameters"]["jsCode"] = (
        f"return Array.from({{length: {films}}}, (_, n) => ({{json: {{prompt: `boat ${{n}}`}}}}))"
    )
    async with at_a_quota(tmp_path) as (google, server):
        text = json.dumps(workflow).replace(SERVER, server.url).replace('"amount": 10', '"amount": 1')
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(films_of(tmp_path, json.loads(text)))
            tasks.create_task(server.killed_while(google, kills=2, quota=QUOTA))
        made = run.result()
        assert len(made) == films
        assert all(map(is_video, made))
        once_each(google, films)


async def test_n8ns_openai_node_gets_its_film(tmp_path: Path) -> None:
    need(program="n8n")
    start = {"name": "Start", "type": "n8n-nodes-base.manualTrigger", "typeVersion": 1, "position": [0, 0]}
    workflow: dict[str, Any] = {
        "name": "Film",
        "nodes": [{**start, "parameters": {}}, OPENAI_NODE],
        "connections": {"Start": {"main": [[{"node": "Film", "type": "main", "index": 0}]]}},
    }
    async with at_a_quota(tmp_path) as (google, server):
        login = {"apiKey": "anything", "url": f"{server.url}/v1", "header": False}
        file = tmp_path / "credentials.json"
        file.write_text(json.dumps([{"id": "server", "name": "server", "type": "openAiApi", "data": login}]), "utf-8")
        await n8n(tmp_path, "import:credentials", f"--input={file}")
        [made] = await films_of(tmp_path, workflow)
        assert is_video(made)
        once_each(google, 1)
