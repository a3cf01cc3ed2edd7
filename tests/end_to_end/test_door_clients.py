"""Every client of the guide's recipes, fifty films at once through a quota of ten, while the server is killed.

What runs is the text of `recipes.md`; only the time between polls is shorter.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google import genai

from aveo3.mock import MockServer
from tests.support import npm
from tests.support.emulated import emulator
from tests.support.guide import recipe
from tests.support.served import Served, served

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]

JS = Path(__file__).parents[1] / "data" / "js"
FIFTY = Path(__file__).parents[1] / "support" / "fifty.py"

Run = Callable[[str, int, Path], Awaitable[None]]
"""Makes films at a server of this address: `N.mp4` in this directory has the prompt `boat N`."""


def hasty(name: str) -> str:
    """A recipe that polls often."""
    text = recipe("recipes", name).text
    return text.replace("sleep(5000)", "sleep(400)").replace("sleep(5)", "sleep(0.4)").replace("sleep 5", "sleep 1")


def names_of(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(compile(hasty(name), f"recipe {name}", "exec"), names)
    return names


async def by_coroutines(film: Callable[[str, str], Awaitable[bytes]], films: int, home: Path) -> None:
    async def one(number: int) -> None:
        (home / f"{number}.mp4").write_bytes(await film(f"order-{number}", f"boat {number}"))

    await asyncio.gather(*map(one, range(films)))


async def google_genai(url: str, films: int, home: Path) -> None:
    names = names_of("google-genai")
    client = names["connect"](url, "anything")
    await by_coroutines(lambda *order: names["film"](client, *order), films, home)
    await client.aio.aclose()


async def google_genai_httpx2(url: str, films: int, home: Path) -> None:
    names = names_of("google-genai")
    async with httpx2.AsyncClient() as transport:
        options: Any = {"base_url": url, "httpx_async_client": transport}
        client = genai.Client(vertexai=True, api_key="anything", http_options=options)
        await by_coroutines(lambda *order: names["film"](client, *order), films, home)


async def openai_python(url: str, films: int, home: Path) -> None:
    names = names_of("openai")
    async with names["connect"](url, "anything") as client:
        await by_coroutines(lambda *order: names["film"](client, *order), films, home)


async def litellm(url: str, films: int, home: Path) -> None:
    if importlib.util.find_spec("litellm") is None:
        pytest.skip("needs LiteLLM: pip install '.[recipes]'")
    (home / "film.py").write_text(hasty("litellm"), "utf-8")
    # Without the variable it asks GitHub for prices when it is imported.
    await run(sys.executable, FIFTY, home / "film.py", url, films, home, LITELLM_LOCAL_MODEL_COST_MAP="True")


async def node(url: str, films: int, home: Path) -> None:
    packages = npm.installed(JS, "js")
    (home / "node_modules").symlink_to(packages / "node_modules")
    (home / "film.mjs").write_text(hasty("node"), "utf-8")
    await run("node", packages / "fifty.mjs", home / "film.mjs", url, films, home)


async def curl(url: str, films: int, home: Path) -> None:
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on this machine")
    (home / "film.sh").write_text(hasty("curl"), "utf-8")
    orders = ((f"order-{n}", f"boat {n}", home / f"{n}.mp4") for n in range(films))
    await asyncio.gather(*(run("sh", home / "film.sh", *order, SERVER=url) for order in orders))


async def run(*command: object, **variables: str) -> None:
    """A program, which must end well."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode("utf-8", "replace")


CLIENTS: list[Run] = [google_genai, google_genai_httpx2, openai_python, litellm, node, curl]


async def check_films(client: Run, home: Path, *, films: int, kills: int, quota: int, period: float) -> None:
    made = home / "made"
    made.mkdir()
    async with AsyncExitStack() as stack:
        google: MockServer = await stack.enter_async_context(emulator(rpm=quota, period=period, latency="0.5"))
        server: Served = await stack.enter_async_context(
            served(google, output_dir=home / "kept", rate_limit=quota, rate_period=period)
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client(server.url, films, made))  # type: ignore[arg-type]
            tasks.create_task(server.killed_while(google, kills=kills, quota=quota))
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(films)}
        assert google.books.refused == 0
    assert {file.name for file in made.glob("*.mp4")} == {f"{number}.mp4" for number in range(films)}
    assert all(file.read_bytes()[4:8] == b"ftyp" for file in made.glob("*.mp4"))


async def test_a_client_gets_its_films_while_the_server_is_killed(tmp_path: Path) -> None:
    await check_films(google_genai_httpx2, tmp_path, films=4, kills=1, quota=2, period=1)


@pytest.mark.whole
@pytest.mark.parametrize("client", CLIENTS)
async def test_fifty_films_at_once_and_three_kills_are_fifty_films(client: Run, tmp_path: Path) -> None:
    await check_films(client, tmp_path, films=50, kills=3, quota=10, period=2)
