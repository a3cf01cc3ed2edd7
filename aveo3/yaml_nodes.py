"""Reads YAML safely: no objects, no dates, no numbers to the base 60, no key twice, no aliases that explode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

LARGEST = 16 * 2**20
"""Characters. The reader takes minutes for more."""


class YamlBroken(Exception):
    """The text cannot be read. The message begins with the place, `line` or `line:column`."""


def read_yaml(text: str) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    """What a YAML text holds, and the line of each value by its place. Raises `YamlBroken`."""
    import yaml

    if len(text) > LARGEST:
        raise YamlBroken(f"1: YAML of more than {LARGEST // 2**20} MiB takes minutes to read")
    reader = loader(text, fast=True)
    lines: dict[tuple[str | int, ...], int] = {}

    def value_of(node: yaml.Node, place: tuple[str | int, ...]) -> Any:
        if isinstance(node, yaml.SequenceNode):
            values = []
            for at, item in enumerate(node.value):
                lines[(*place, at)] = item.start_mark.line + 1
                values.append(value_of(item, (*place, at)))
            return values
        if isinstance(node, yaml.MappingNode):
            check_keys(node)
            reader.flatten_mapping(node)  # `<<`: what it brings comes first, and own keys replace it
            fields: dict[str, Any] = {}
            for key, item in node.value:
                lines[(*place, key.value)] = key.start_mark.line + 1
                fields[key.value] = value_of(item, (*place, key.value))
            return fields
        try:
            return reader.construct_document(node)
        except (ValueError, TypeError) as error:
            raise YamlBroken(f"{_mark(node)}: {error}") from None

    with reading(reader):
        root = reader.get_single_node()
        if root is None:
            return {}, lines
        check_size(root)
        return value_of(root, ()), lines


@contextmanager
def reading(reader: yaml.SafeLoader) -> Iterator[None]:
    """Raises `YamlBroken`, with the place, for what the reader raises in the block, and disposes of it."""
    import yaml

    try:
        yield
    except RecursionError:
        raise YamlBroken("1: it is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}: " if mark else "1: "
        raise YamlBroken(f"{place}{error.problem}") from None
    except yaml.YAMLError as error:
        raise YamlBroken(f"1: {error}") from None
    finally:
        reader.dispose()


def check_keys(node: yaml.MappingNode) -> None:
    """Raise `YamlBroken` if a key of `node` is no name, or is there twice."""
    import yaml

    met: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlBroken(f"{_mark(key)}: a key is a name, not a list or a mapping")
        if key.value in met:
            raise YamlBroken(f"{_mark(key)}: {key.value} is there twice: one of them would be lost")
        met.add(key.value)


def _mark(node: yaml.Node) -> str:
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def loader(text: str, *, fast: bool = False) -> Any:
    """A safe loader for which dates and numbers to the base 60 are texts: no field is a date, and `9:16` is no 556.

    `fast`: by libyaml, if PyYAML has it. Its messages are shorter.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if fast else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, re.compile(r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?$") if tag.endswith(":float") else pattern)
            for tag, pattern in resolvers
        ]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    return Loader(text)


def check_size(root: yaml.Node) -> None:
    """Raise `YamlBroken` if aliases make much of little: nine lines can stand for a thousand million texts."""
    import yaml

    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise YamlBroken(f"{_mark(node)}: an alias holds itself")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            if isinstance(node, yaml.MappingNode):
                inner = sum(size(key) + size(value) for key, value in node.value)
            elif isinstance(node, yaml.SequenceNode):
                inner = sum(map(size, node.value))
            else:
                inner = 0
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + inner
        return sizes[id(node)]

    if size(root) > 20 * len(sizes) + 10_000:
        raise YamlBroken(f"1: aliases make {len(sizes):,} values into more than can be read: write them out")
