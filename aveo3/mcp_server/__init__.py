"""`aveo3 mcp`: clips and films for agents by the Model Context Protocol, within a budget that no agent can raise.

`desk` takes orders and keeps one client open while they are under way; `spending` counts what agents have spent;
`tools` and `resources` show both to an MCP client; `transport` carries that. Needs `aveo3[mcp]`.
"""
