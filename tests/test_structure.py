"""The house as a whole: imports point upwards only, public names resolve, importing is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aveo3

HOUSE = Path(aveo3.__path__[0])

ROOMS = [
    *(
        "errors",
        "lifecycle",
        "models",
        "catalog",
        "variables",
        "settings",
        "lane_settings",
        "lanes",
        "routing",
        "verdicts",
        "remedies",
        "diagnosis",
    ),
    *("windows", "learner", "spill", "limits", "memory", "breaker", "latency", "polling", "bell", "budget", "bucket"),
    *("standstill", "gate", "retry", "timetable", "poller"),
    *(
        "backends.base",
        "backends.wire",
        "backends.reach",
        "storage",
        "mp4",
        "parts",
        "backends.inline",
        "backends.vertex",
        "backends.omni",
        "backends.gemini",
        "fetch",
        "durable",
        "database",
        "entries",
        "records",
        "claims",
        "journal",
    ),
    *("job", "delivery", "engine", "backlog", "recall", "hindsight", "planning", "dispatch", "webhooks"),
    *("estimate", "connections", "stats", "client"),
    *("checkup", "sources", "manifest", "progress", "testing", "simulation", "cli"),
]
"""Top to bottom: a room may import the rooms before it, and none after it."""


def modules() -> dict[str, Path]:
    """Every module of the package, by its name without `aveo3.`; packages by their own."""
    found = {}
    for file in sorted(HOUSE.rglob("*.py")):
        parts = file.relative_to(HOUSE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def room_of(module: str) -> str | None:
    """The room that a module, or a name in it, belongs to: the longest room its dotted name begins with."""
    fitting = [room for room in (*ROOMS, "mock") if f"{module}.".startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def only_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(node: ast.AST) -> Iterator[str]:
    """What is imported from aveo3 anywhere below `node`, functions included: names without `aveo3.`."""
    for child in ast.iter_child_nodes(node):
        if only_for_type_checkers(child):
            continue
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            if child.module == "aveo3":
                yield from (alias.name for alias in child.names)
            elif child.module and child.module.startswith("aveo3."):
                yield from (f"{child.module}.{alias.name}".removeprefix("aveo3.") for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from (a.name.removeprefix("aveo3.") for a in child.names if a.name.split(".")[0] == "aveo3")
        yield from imports(child)


def test_every_module_is_in_a_room() -> None:
    facade_and_shelf = {"", "backends"}  # aveo3/__init__.py, which looks names up; backends/__init__.py, empty
    assert {module for module in MODULES if room_of(module) is None} == facade_and_shelf
    assert set(ROOMS) <= set(MODULES)


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) in ROOMS])
def test_imports_point_upwards_only(module: str) -> None:
    own = room_of(module)
    assert own is not None
    for name in imports(ast.parse(MODULES[module].read_text("utf-8"))):
        room = room_of(name)
        if room == "mock":
            assert own in ("client", "simulation", "cli"), f"{module} imports the emulator"
            continue
        assert room is not None, f"{module} imports {name}, which is in no room"
        assert room == own or ROOMS.index(room) < ROOMS.index(own), f"{module} imports {name}, from further down"


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) == "mock"])
def test_the_emulator_shares_nothing_with_the_client(module: str) -> None:
    names = set(imports(ast.parse(MODULES[module].read_text("utf-8"))))
    assert {name for name in names if room_of(name) != "mock"} == set()


def test_the_check_would_notice() -> None:
    code = "def f():\n    from aveo3 import gate\n    import aveo3.mock.rules\n    from aveo3.engine import Job"
    assert [*imports(ast.parse(code))] == ["gate", "mock.rules", "engine.Job"]
    assert [room_of(name) for name in ("gate", "mock.rules", "engine.Job", "backends.base.Look", "nowhere")] == [
        "gate",
        "mock",
        "engine",
        "backends.base",
        None,
    ]
    assert [*imports(ast.parse("if TYPE_CHECKING:\n    from aveo3.engine import Job"))] == []


# ---- the facade ------------------------------------------------------------------------------------------------------


def test_every_public_name_resolves_to_what_its_home_calls_so() -> None:
    for name in aveo3.__all__:
        found = getattr(aveo3, name)
        assert found.__name__ == name
        assert found.__doc__, f"{name} has no docstring"


def test_the_lazy_table_holds_every_public_name_that_the_facade_does_not_define() -> None:
    assert aveo3.__all__ == sorted(aveo3.__all__)
    assert set(aveo3._HOME) == set(aveo3.__all__) - {"generate_many"}
    for name, home in aveo3._HOME.items():
        assert getattr(aveo3, name).__module__ == f"aveo3.{home}"


def test_type_checkers_see_what_users_get() -> None:
    [block] = [n for n in ast.parse(MODULES[""].read_text("utf-8")).body if only_for_type_checkers(n)]
    seen = {
        alias.name: node.module for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {name: f"aveo3.{home}" for name, home in aveo3._HOME.items()}.items() <= seen.items()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'aveo3' has no attribute 'VeoKlient'$"):
        _ = aveo3.VeoKlient


# ---- the cost of importing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "costly"),
    [
        ("aveo3", ["google.genai", "aiohttp", "pydantic", "asyncio"]),
        ("aveo3.cli", ["google.genai", "aiohttp", "av", "PIL", "pydantic", "asyncio", "aveo3.mock"]),
        ("aveo3.client", ["google.genai", "aveo3.mock"]),
    ],
)
def test_importing_loads_nothing_that_is_not_needed_yet(module: str, costly: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {costly} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
