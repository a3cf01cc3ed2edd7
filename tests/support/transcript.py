"""What a scripted agent and `aveo3 mcp` say to each other: three clips within a budget, and no fourth."""

from __future__ import annotations

import json
import tempfile
import textwrap
from functools import lru_cache
from pathlib import Path
from typing import Any

from aveo3.testing import run_virtual
from tests.support.agents import agent, clips
from tests.support.studio import Studio

BUDGET_USD = 10
SCENES = ("a paper boat leaves the shore", "a storm comes up", "the boat reaches the sea", "the boat comes home")


class _Shown:
    """Writes down each call and the part of its answer that the script looks at."""

    def __init__(self, it: Any, home: Path) -> None:
        self._it, self._home = it, home
        self.lines: list[str] = []

    async def call(self, tool: str, *looked_at: str, **arguments: Any) -> Any:
        result = await self._it.client.call_tool(tool, arguments)
        self._say("agent", f"{tool} {json.dumps(arguments)}")
        if result.is_error:
            self._say("aveo3", result.content[0].text)
            return None
        said = {name: _short(result.structured_content[name]) for name in looked_at}
        pictures = [f"[{part.mime_type}]" for part in result.content if part.type == "image"]
        self._say("aveo3", " ".join([json.dumps(said), *pictures]).replace(str(self._home), "clips"))
        return result.structured_content

    def _say(self, who: str, words: str) -> None:
        folded = textwrap.wrap(words, 66, break_long_words=False, break_on_hyphens=False)
        self.lines += [f"{who if not number else '':<7}{line}" for number, line in enumerate(folded)]


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        kept = ("job", "status", "expected_utc", "paths", "budget_usd", "spent_usd", "left_usd")
        return {name: value[name] for name in kept if value.get(name) not in (None, [])}
    return [_short(each) for each in value] if isinstance(value, list) else value


async def _script(home: Path) -> str:
    async with agent(Studio(latency=50), home, mcp_budget=BUDGET_USD) as it:
        shown = _Shown(it, home)
        await shown.call("estimate", "new_clips", "cost_usd", "money", clips=clips(*SCENES))
        # Four are too many: the script orders one by one until it is refused.
        names = []
        for scene in SCENES:
            started = await shown.call("start", "jobs", "new_cost_usd", "money", clips=clips(scene))
            if started is None:
                break
            names.append(started["jobs"][0]["job"])
        await shown.call("wait", "jobs", "all_ended", jobs=names, seconds=30)
        await shown.call("wait", "jobs", "all_ended", jobs=names, seconds=60)
        await shown.call("result", "job", job=names[0])
        await shown.call("budget", "budget_usd", "spent_usd", "left_usd")
    return "\n".join(shown.lines)


@lru_cache
def transcript() -> str:
    """The transcript, as a block of text."""
    with tempfile.TemporaryDirectory() as home:
        place, said = Path(home).resolve(), list[str]()

        async def main() -> None:
            said.append(await _script(place))

        run_virtual(main())
    return f"```text\n{said[0]}\n```\n"
