"""The notebook of the guide, executed as Jupyter does, made into a page, and looked at in a browser."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.axe import findings, source
from tests.support.browser import tab
from tests.support.guide import GUIDES, ROOT, blocks

if TYPE_CHECKING:
    from playwright.async_api import Browser

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = [
    pytest.mark.whole,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="session"),
    # Jupyter's own: none of it is ours to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def jupyter_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person who runs the tests, and nothing left with them."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))


def guide() -> Any:
    """A notebook of the guide's cells."""
    page = blocks(GUIDES["notebooks"].read_text("utf-8"))
    return notebook(*(block.text.rstrip("\n") for block in page if block.language == "python"))


def notebook(*cells: str) -> Any:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


async def executed(made: Any, directory: Path) -> list[tuple[int, str]]:
    """Execute a notebook in its directory. Returns the messages that its kernel sent: cell and kind."""
    messages: list[tuple[int, str]] = []

    class Client(nbclient.NotebookClient):  # type: ignore[misc,name-defined]
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            messages.append((cell_index, msg["msg_type"]))
            return super().process_message(msg, cell, cell_index)

    client = Client(made, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(directory)}})
    await client.async_execute()
    return messages


def outputs(cell: Any) -> list[Any]:
    assert not [output for output in cell.outputs if output.output_type in ("error", "stream")], cell.outputs
    return list(cell.outputs)


def words(output: Any) -> str:
    html = re.sub(r"<style>.*?</style>", "", output["data"]["text/html"], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def page_of(made: Any, theme: str) -> str:
    """The notebook as nbconvert makes a page of it, which asks no other machine for anything."""
    exporter = pytest.importorskip("nbconvert").HTMLExporter(theme=theme)
    for name in ("mathjax_url", "require_js_url", "mermaid_js_url", "jquery_url"):
        if hasattr(exporter, name):
            setattr(exporter, name, "")
    html, _ = exporter.from_notebook_node(made, resources={"metadata": {"name": "clips"}})
    return str(html)


async def test_the_notebook_of_the_guide_runs_and_shows_its_clips(tmp_path: Path, browser: Browser) -> None:
    made = guide()
    made.cells.append(
        nbformat.v4.new_code_cell(
            "prompt = '<script>document.body.id = \"owned\"</script> $x$ $y$'\n"
            "async with VeoClient(settings) as veo, progress(veo):\n"
            "    hostile = await veo.generate_many([prompt, {'text': 'b', 'duration_seconds': 99}])\n"
            "hostile"
        )
    )
    messages = await executed(made, tmp_path)
    _, batch, part, film, store, hostile = made.cells
    bar, clips = outputs(batch)
    assert words(bar).startswith("2 clips · 2 succeeded · took ")
    assert "mock mode bills nothing" in words(bar)
    assert words(clips).startswith("2 clips · 2 succeeded · US$ 6.40 at list price")
    assert clips["data"]["text/html"].count('src="data:video/mp4;base64,') == 2
    [one] = outputs(part)
    assert words(one).startswith("succeeded a paper boat on a river")
    _, scenes = outputs(film)
    assert words(scenes).startswith("film of 2 scenes · US$ 6.40 at list price film/film.mp4 succeeded shore")
    assert scenes["data"]["text/html"].count("<video") == 1
    assert outputs(store) == []
    assert "1 rejected" in words(outputs(hostile)[1])
    updates = [index for index, kind in messages if kind == "update_display_data"]
    assert 1 <= updates.count(1) <= 40  # twice a second, of a batch that takes a few seconds
    assert len(json.dumps(made)) < 2_000_000

    for theme in ("light", "dark"):
        file = tmp_path / f"{theme}.html"
        file.write_text(page_of(made, theme), "utf-8")
        async with tab(browser, dark=theme == "dark", expected="Failed to load resource|require|jquery") as page:
            await page.goto(file.as_uri())
            assert await page.evaluate("document.body.id") != "owned"
            assert await page.locator(".aveo3 script").count() == 0
            for video in (await page.locator(".aveo3 video").all())[:2]:
                await video.evaluate("async video => { video.muted = true; await video.play(); }")
                await page.wait_for_function("video => video.currentTime > 0", arg=await video.element_handle())
            await page.evaluate(source())
            assert [found for found in await findings(page) if "aveo3" in found] == []
            if shots := os.environ.get("LOOK_AT"):
                await page.screenshot(path=f"{shots}/{theme}.png", full_page=True)


async def test_a_cell_that_is_interrupted_says_so_and_goes_on_when_it_is_run_again(tmp_path: Path) -> None:
    cell = (
        "from aveo3 import Settings, VeoClient\n"
        "from aveo3.notebook import progress\n"
        "settings = Settings(mock_mode=True, output_dir='clips', rate_limit=1, rate_period=2)\n"
        "async with VeoClient(settings) as veo, progress(veo):\n"
        "    clips = await veo.generate_many([f'boat {n}' for n in range(3)])\n"
    )
    made = notebook(cell, "clips")
    client = nbclient.NotebookClient(
        made, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, allow_errors=True
    )
    async with client.async_setup_kernel():

        async def interrupt() -> None:
            while not any("of 3 clips" in words(output) for output in made.cells[0].outputs):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await client.km.interrupt_kernel()

        stopping = asyncio.create_task(interrupt())
        await client.async_execute_cell(made.cells[0], 0)
        await stopping
        bar, error = [output for output in made.cells[0].outputs if output.output_type != "stream"]
        assert "of 3 clips" in words(bar) or words(bar).startswith("3 clips")
        assert "stopped after" in words(bar)
        assert error.output_type == "error"
        made.cells[0].outputs = []
        await client.async_execute_cell(made.cells[0], 0)
        await client.async_execute_cell(made.cells[1], 1)
    [bar] = outputs(made.cells[0])
    assert words(bar).startswith("3 clips · 3 succeeded · took")
    assert words(outputs(made.cells[1])[0]).startswith("3 clips · 3 succeeded")
