"""Runs the guide's recipe `ask`, with a model that follows a script. Prints what each tool answered, as JSON lines."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from recipe import ask

steps = json.loads(sys.argv[1])


class Script(BaseChatModel):  # type: ignore[misc]  # it is not installed where types are checked
    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, tools: Any, **_: Any) -> Script:
        print(json.dumps(["tools", "", sorted(tool.name for tool in tools)]), flush=True)
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        if isinstance(last := messages[-1], ToolMessage):
            print(json.dumps([last.name, last.status, last.text]), flush=True)
        number = sum(isinstance(message, AIMessage) for message in messages)
        if number == len(steps):
            answer = AIMessage("done")
        else:
            name, arguments = steps[number]
            answer = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{number}"}])
        return ChatResult(generations=[ChatGeneration(message=answer)])


print(json.dumps(["answer", "", asyncio.run(ask(Script(), "Make clips.", json.loads(sys.argv[2])))]))
