"""The `fields=` parameter of Google's JSON APIs, such as `nextPageToken,items(name,size)`. Pure."""

import re
from typing import Any

Tree = dict[str, Any]
"""The selected names, each with its own selection. An empty selection means everything."""


def select(value: Any, fields: str) -> Any:
    """Return the part of `value` that `fields` selects; unknown names are ignored. Raises ValueError if malformed."""
    tokens = re.findall(r"[^,()/]+|[,()/]", fields)[::-1]
    tree = _names(tokens)
    if tokens:
        raise ValueError(f"Invalid field selection {fields}")
    return _pick(value, tree)


def _names(tokens: list[str]) -> Tree:
    tree: Tree = {}
    while True:
        _path(tokens, tree)
        if tokens[-1:] != [","]:
            return tree
        tokens.pop()


def _path(tokens: list[str], tree: Tree) -> None:
    name = tokens.pop() if tokens else ""
    if name in ("", ",", "(", ")", "/"):
        raise ValueError(f"Invalid field selection {name}")
    below = tree.setdefault(name.strip(), {})
    if tokens[-1:] == ["/"]:
        tokens.pop()
        _path(tokens, below)
    elif tokens[-1:] == ["("]:
        tokens.pop()
        below |= _names(tokens)
        if tokens[-1:] != [")"]:
            raise ValueError(f"Invalid field selection {name}")
        tokens.pop()


def _pick(value: Any, tree: Tree) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_pick(item, tree) for item in value]
    if isinstance(value, dict):
        return {name: _pick(item, tree[name]) for name, item in value.items() if name in tree}
    return value
