"""The recipes for web apps, driven as a browser would; those at the server are programs of their languages."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer
import yaml
from aiohttp.test_utils import TestClient, TestServer

from aveo3.cli import app
from tests.support.guide import GUIDES, ROOT, Block, blocks, instructions
from tests.support.guide import recipe as block_of

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.05")


def recipe(name: str) -> dict[str, Any]:
    """The names that a recipe defines."""
    path = GUIDES["async-apps"]
    [block] = [block for block in blocks(path.read_text("utf-8")) if block.comment == f"recipe: {name}"]
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile("\n" * (block.line - 1) + block.text, str(path), "exec"), names)
    return names


async def test_a_browser_of_the_aiohttp_app_gets_its_film() -> None:
    async with TestClient(TestServer(recipe("aiohttp")["app"])) as browser:
        answer = await browser.post("/clips", json={"text": "a paper boat"})
        assert answer.status == 202
        number = (await answer.json())["id"]
        while (film := await browser.get(f"/clips/{number}")).status == 202:
            assert await film.json() == {"status": "working"}
            await asyncio.sleep(0.05)
        assert film.status == 200
        assert b"ftyp" in (await film.read())[:12]
        assert (await browser.get("/clips/99")).status == 404


class _FastAPI:
    """As much of FastAPI as the recipe uses: it is not among the dependencies."""

    def __init__(self, lifespan: Callable[..., Any]) -> None:
        self.lifespan, self.state = lifespan, SimpleNamespace()

    def post(self, path: str, *, status_code: int = 200) -> Callable[[Any], Any]:
        return lambda handler: handler

    def get(self, path: str) -> Callable[[Any], Any]:
        return lambda handler: handler


class _HTTPException(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)


async def test_the_fastapi_app_hands_out_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("fastapi")
    module.FastAPI, module.HTTPException = _FastAPI, _HTTPException
    monkeypatch.setitem(sys.modules, "fastapi", module)
    names = recipe("fastapi")
    async with names["lifespan"](names["app"]):
        number = (await names["submit"]("a paper boat"))["id"]
        while (found := await names["result"](number))["status"] == "working":  # noqa: ASYNC110  # as a browser must
            await asyncio.sleep(0.05)
        assert (found["status"], found["path"].suffix, found["why"]) == ("succeeded", ".mp4", None)
        with pytest.raises(_HTTPException, match="404"):
            await names["result"](99)


AT_THE_SERVER = [block for block in blocks(GUIDES["recipes"].read_text("utf-8")) if block.comment]


def read(block: Block) -> Any:
    """Read a recipe as its language does, without running it. Raises if it does not belong to the language."""
    if block.language == "python":
        return compile(block.text, "recipe", "exec")
    if block.language == "json":
        return json.loads(block.text)
    if block.language == "yaml":
        return yaml.safe_load(block.text)
    if block.language == "dockerfile":
        return dict(instructions(block.text))
    program = {"sh": ["sh", "-n"], "js": ["node", "--input-type=module", "--check"]}[block.language]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not on this machine")
    return subprocess.run(program, input=block.text, text=True, check=True, capture_output=True)


@pytest.mark.parametrize("block", AT_THE_SERVER, ids=[f"{block.comment}" for block in AT_THE_SERVER])
def test_a_recipe_is_a_program_of_its_language(block: Block) -> None:
    read(block)


@pytest.mark.parametrize("language", ["python", "json", "yaml", "sh", "js", "dockerfile"])
def test_what_is_no_program_is_noticed(language: str) -> None:
    with pytest.raises((SyntaxError, ValueError, yaml.YAMLError, subprocess.CalledProcessError)):
        read(Block(language, 1, "{ ( [\n", None))


def test_the_container_has_what_it_copies_and_starts_what_there_is() -> None:
    steps = instructions(block_of("recipes", "Dockerfile").text)
    copied = [name for word, rest in steps if word == "COPY" for name in rest.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "aveo3", "pyproject.toml"} == set(copied)
    [build] = [rest for word, rest in steps if "pip wheel" in rest]
    extras = re.findall(r"\[(.+)\]", build)[0].split(",")
    assert set(extras) <= project["optional-dependencies"].keys()
    [users, home] = [rest for word, rest in steps if word in ("USER", "VOLUME")]
    assert any(f"useradd --uid 1000 --create-home {users} " in rest for word, rest in steps if word == "RUN")
    assert f"VEO3_OUTPUT_DIR={home}" in [rest for word, rest in steps if word == "ENV"]
    [start] = [json.loads(rest) for word, rest in steps if word == "ENTRYPOINT"]
    [words] = [json.loads(rest) for word, rest in steps if word == "CMD"]
    assert start == list(project["scripts"])
    command: Any = typer.main.get_command(app)
    assert command.commands[words[0]].make_context("serve", words[1:]).params["host"] == "0.0.0.0"

    compose = yaml.safe_load(block_of("recipes", "compose").text)
    [(name, service)] = compose["services"].items()
    assert service["volumes"] == [f"{next(iter(compose['volumes']))}:{home}"]
    assert service["secrets"] == list(compose["secrets"])
    shown = [block.text for block in blocks(GUIDES["recipes"].read_text("utf-8")) if "docker compose" in block.text]
    assert f"docker compose run --rm {name} serve keys add" in shown[0]
