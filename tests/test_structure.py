"""The package as a whole: imports point upwards only, public names resolve, importing is cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from os import PathLike
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import SecretStr

import aveo3
from aveo3.config.arguments import SettingsArguments
from aveo3.mock import MockOptions

HOUSE = Path(aveo3.__path__[0])

FLOORS = """
lifecycle media_types near_names input_forms yaml_nodes json_values labels _visible wording stills display media models
clips untrusted errors _waker events _timeouts _threads
config files
telemetry
verdicts polling
lanes quota backends journal
engine
dispatch
mock_mode session
client
notebook
film
integrations
testing
simulation quota_checkup server_checkup database_checkup checkup
report
server
mcp_server
cli
__main__
"""
"""Top to bottom: a package may import the floors above its own, and on its own floor what stands before it."""
ROOMS = FLOORS.split()


def modules() -> dict[str, Path]:
    """Every module of the package, by its name without `aveo3.`; packages by their own."""
    found = {}
    for file in sorted(HOUSE.rglob("*.py")):
        parts = file.relative_to(HOUSE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def room_of(module: str) -> str:
    return module.partition(".")[0]


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


def imported_modules(node: ast.AST) -> set[str]:
    """The modules of aveo3 that `node` imports, or imports names from."""
    return {name if name in MODULES else name.rpartition(".")[0] for name in imports(node)}


def wrong_way(module: str, code: str) -> set[str]:
    """What `module`, if `code` were its text, would import from a room that stands after its own."""
    own, found = room_of(module), imported_modules(ast.parse(code))
    if own == "mock":
        return {name for name in found if room_of(name) != "mock"}
    allowed = {*ROOMS[: ROOMS.index(own) + 1], *(("mock",) if own in USES_THE_EMULATOR else ())}
    return {name for name in found if room_of(name) not in allowed}


SQLITE = re.compile(r"journal\.(\w+\.)?sqlite(_\w+)?")
"""The modules that know SQLite."""
OWN_DIALECT = re.compile(r"journal\.(\w+\.)?(sqlite(_\w+)?|postgres(_\w+)?|\w+_schema)")
ONLY_SQLITE = re.compile(
    r"\biif\(|\btotal\(|julianday|json_extract|json_each|json_array_length|\browid\b|CROSS JOIN|ON CONFLICT DO|"
    r"INSERT OR|REPLACE INTO|\bsum\(\w+ (=|IN) |\bPRAGMA\b|\bTEMP TABLE\b|\bGLOB\b|\bmax\([^()]*,"
)
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|ON CONFLICT|WHERE|PRAGMA)\b")


def texts(code: str) -> Iterator[str]:
    """The texts in `code` that look like SQL, formatted ones without their values."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "()" for part in node.values)


def of_one_database(code: str) -> list[str]:
    """What in the SQL of `code` only SQLite understands."""
    return [found.group() for text in texts(code) if SQL.search(text) for found in ONLY_SQLITE.finditer(text)]


def test_sqlite_is_named_by_its_own_modules_alone() -> None:
    named = re.compile(r"^\s*(import|from) sqlite3\b", re.MULTILINE)
    found = {name for name, file in MODULES.items() if named.search(file.read_text("utf-8"))}
    assert found
    assert {name for name in found if not SQLITE.fullmatch(name)} == set()


def test_statements_are_those_that_both_databases_understand() -> None:
    own = {name for name in MODULES if room_of(name) == "mock" or OWN_DIALECT.fullmatch(name)}
    found = {name: of_one_database(file.read_text("utf-8")) for name, file in MODULES.items() if name not in own}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_check_of_the_statements_would_notice() -> None:
    assert of_one_database("q = 'SELECT iif(a, 1, 2), total(b) FROM c WHERE d IN (SELECT value FROM json_each(?))'")
    assert of_one_database("q = f'INSERT INTO {t} VALUES (?) ON CONFLICT DO NOTHING'")
    assert of_one_database("q = 'SELECT sum(state = ?) FROM jobs'")
    assert of_one_database("q = 'SELECT coalesce(max(id), 0), sum(n) FROM jobs ON CONFLICT (a, b) DO NOTHING'") == []
    assert of_one_database(MODULES["journal.stored_files_schema"].read_text("utf-8"))


NEED_OTHER_PROGRAMS = (
    "integrations.crewai",
    *(f"mcp_server.{name}" for name in ("http", "resources", "tools", "transport")),
)
"""Modules that can be imported only where somebody else's program is installed; `.ci/run` has a step for each, or
`aveo3[test]` brings it."""
USES_THE_EMULATOR = ("mock_mode", "simulation", "cli")


def test_every_module_is_in_a_room() -> None:
    assert {room_of(module) for module in MODULES} == {"", "mock", *ROOMS}  # "": the facade, which looks names up


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_imports_point_upwards_only(module: str) -> None:
    assert wrong_way(module, MODULES[module].read_text("utf-8")) == set()


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: imported_modules(ast.parse(file.read_text("utf-8"))) for name, file in MODULES.items() if name}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_checks_would_notice() -> None:
    code = (
        "def f():\n    from aveo3.quota import gate\n    import aveo3.mock.quotas\n    from aveo3.engine.job import Job"
    )
    assert [*imports(ast.parse(code))] == ["quota.gate", "mock.quotas", "engine.job.Job"]
    assert wrong_way("verdicts.verdict", code) == {"quota.gate", "mock.quotas", "engine.job"}
    assert wrong_way("cli.run", code) == set()
    assert wrong_way("mock.server", code) == {"quota.gate", "engine.job"}
    assert wrong_way("engine.job", "from aveo3.dispatch.stream import ClipStream") == {"dispatch.stream"}
    assert wrong_way("files.saving", "if TYPE_CHECKING:\n    from aveo3.engine.job import Job") == set()
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


# ---- the tests -------------------------------------------------------------------------------------------------------

TESTS = Path(__file__).parent


def imported_tests(code: str) -> set[str]:
    """The test files and conftests that `code` imports, or imports names from."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "tests" and any(part == "conftest" or part.startswith("test_") for part in parts):
                found.add(name)
    return found


def test_no_file_imports_a_test_file_or_a_conftest() -> None:
    """What tests share stands in `tests/support`."""
    files = {str(file.relative_to(TESTS)): imported_tests(file.read_text("utf-8")) for file in TESTS.rglob("*.py")}
    assert len(files) > 100
    assert {name: found for name, found in files.items() if found} == {}


def test_the_check_of_the_tests_would_notice() -> None:
    assert imported_tests("from tests.quota.test_gate import warm") == {
        "tests.quota.test_gate",
        "tests.quota.test_gate.warm",
    }
    assert imported_tests("def f():\n    from tests.quota import test_gate") == {"tests.quota.test_gate"}
    assert imported_tests("import tests.cli.test_config as config") == {"tests.cli.test_config"}
    assert imported_tests("from tests.conftest import settings") == {"tests.conftest", "tests.conftest.settings"}
    assert imported_tests("from tests.support.settings import settings\nfrom aveo3 import testing") == set()


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


@pytest.mark.parametrize(
    "kind", [aveo3.VideoPrompt, aveo3.Media, aveo3.LaneSettings, MockOptions], ids=lambda kind: kind.__name__
)
def test_type_checkers_see_every_field_with_its_default(kind: Any) -> None:
    """They read an `__init__` that never runs, because a field accepts more than it holds."""
    text = Path(sys.modules[kind.__module__].__file__ or "").read_text("utf-8")
    [declared] = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == kind.__name__]
    [block] = [n for n in declared.body if only_for_type_checkers(n)]
    assert isinstance(block, ast.If)
    [init] = block.body
    assert isinstance(init, ast.FunctionDef)
    names = [argument.arg for argument in init.args.kwonlyargs]
    assert names == list(kind.model_fields), "bring the `__init__` for type checkers up to date"
    for name, node in zip(names, init.args.kw_defaults, strict=True):
        assert node is not None, f"{name} looks as if it had to be given"
        default = ast.literal_eval(node)
        assert default is ... or default == kind.model_fields[name].default, name


def kinds(annotation: Any) -> set[Any]:
    """The plain types and literal values that an annotation allows."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return kinds(arguments[0])
    if get_origin(annotation) in (Union, UnionType, Literal):
        return set().union(*map(kinds, arguments)) if get_origin(annotation) is not Literal else set(arguments)
    return {get_origin(annotation) or annotation}


def test_type_checkers_see_every_setting_with_what_it_accepts() -> None:
    accepted = get_type_hints(SettingsArguments)
    del accepted["_env_file"]  # an argument of pydantic-settings
    assert list(accepted) == list(aveo3.Settings.model_fields), "bring aveo3/config/arguments.py up to date"
    made_of: dict[Any, set[Any]] = {
        Path: {str, PathLike},
        SecretStr: {str, SecretStr},
        tuple: {str, Sequence},
        dict: {str, Mapping},
        "auto": {str, "auto"},
    }
    for name, field in aveo3.Settings.model_fields.items():
        held = kinds(field.annotation)
        wide: set[Any] = set().union(*(made_of.get(kind, {kind}) for kind in held))
        assert kinds(accepted[name]) | {"auto"} == wide | {"auto"} or name == "backend", name
    assert kinds(accepted["backend"]) == kinds(aveo3.Settings.model_fields["backend"].annotation)


def test_every_public_name_is_offered_before_it_is_imported() -> None:
    code = "import aveo3; print(sorted(set(aveo3.__all__) - set(dir(aveo3))))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'aveo3' has no attribute 'VeoKlient'$"):
        _ = aveo3.VeoKlient


# ---- where there is no Unix ------------------------------------------------------------------------------------------

NOT_ON_WINDOWS = """
import builtins, importlib, os, signal, sys, time

hidden = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"}
gone = [(os, name) for name in ("fork", "fdatasync", "getuid", "geteuid", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY")]
gone += [(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGALRM", "SIGPIPE", "SIGQUIT")]
gone += [(time, name) for name in ("clock_gettime", "CLOCK_BOOTTIME")]
import_anything = builtins.__import__

def import_as_on_windows(name, names=None, *more):
    if name not in hidden or not (names or {}).get("__name__", "").startswith("aveo3"):
        return import_anything(name, names, *more)
    raise ModuleNotFoundError(f"No module named {name!r}")

for module in sys.argv[1:]:  # what they bring along may need all of Unix
    importlib.import_module(module)
for module in [name for name in sys.modules if name.startswith("aveo3")]:
    del sys.modules[module]
for place, name in gone:
    delattr(place, name)
builtins.__import__ = import_as_on_windows
for module in sys.argv[1:]:
    importlib.import_module(module)
"""


def test_every_module_can_be_imported_without_what_only_unix_has() -> None:
    modules = [f"aveo3.{name}" for name in MODULES if name and name not in ("__main__", *NEED_OTHER_PROGRAMS)]
    command = [sys.executable, "-W", "ignore", "-c", NOT_ON_WINDOWS]
    subprocess.run([*command, *modules], capture_output=True, text=True, check=True)
    code = NOT_ON_WINDOWS + "import aveo3.files; exec('import fcntl', {'__name__': 'aveo3.some'})"
    failed = subprocess.run([*command[:-1], code, "aveo3.files"], capture_output=True, text=True)
    assert "No module named 'fcntl'" in failed.stderr  # it would be noticed


# ---- the cost of importing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "costly"),
    [
        ("aveo3", ["google.genai", "aiohttp", "pydantic", "asyncio"]),
        ("aveo3.cli", ["google.genai", "aiohttp", "av", "PIL", "pydantic", "asyncio", "aveo3.mock"]),
        ("aveo3.client", ["google.genai", "aveo3.mock", "opentelemetry"]),
    ],
)
def test_importing_loads_nothing_that_is_not_needed_yet(module: str, costly: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {costly} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
