"""Runs the guide's recipe `ask`, with a model that follows a script. Prints what each tool answered, as JSON lines."""

from __future__ import annotations

import asyncio
import json
import sys

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from recipe import ask

steps = json.loads(sys.argv[1])


def follow(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    for part in messages[-1].parts:
        if isinstance(part, ToolReturnPart):
            print(json.dumps([part.tool_name, part.outcome, part.model_response_str()]), flush=True)
    number = sum(isinstance(message, ModelResponse) for message in messages)
    if number == 0:
        print(json.dumps(["tools", "", sorted(tool.name for tool in info.function_tools)]), flush=True)
    if number == len(steps):
        return ModelResponse(parts=[TextPart("done")])
    name, arguments = steps[number]
    return ModelResponse(parts=[ToolCallPart(name, arguments)])


print(json.dumps(["answer", "", asyncio.run(ask(FunctionModel(follow), "Make clips.", json.loads(sys.argv[2])))]))
