"""`aveo3 check`: its output for people and for programs, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from aveo3.mock import MockOptions, MockServer
from tests.support.ssl_context import SSL_CONTEXT
from tests.support.terminal import run

KEY = "AIzaSy-secret-key-0123456789"

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@contextmanager
def emulating(**options: Any) -> Iterator[MockServer]:
    """The emulator on its own event loop and thread, because the command runs a loop itself."""
    server = MockServer(MockOptions.model_validate({"films": "bundled", **options}))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockServer]]:
    """Start an emulator and set the environment for it, with a key for Vertex AI."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)
    with ExitStack() as stack:

        def start(**options: Any) -> MockServer:
            server = stack.enter_context(emulating(**options))
            monkeypatch.setenv("VEO3_BASE_URL", server.url)
            monkeypatch.setenv("VEO3_BACKEND", "vertex")
            monkeypatch.setenv("GOOGLE_API_KEY", KEY)
            return server

        yield start


def test_a_check_lists_each_step_and_says_ready(emulate: Callable[..., MockServer]) -> None:
    server = emulate()
    code, stdout, stderr = run("check")
    assert (code, stderr) == (0, "")
    lines = stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        [step, "ok"] for step in ("settings", "address", "credentials", "project", "model")
    ]
    assert lines[-1] == "ready"
    assert f"{server.url} answered in" in lines[1]
    assert (server.books.submits, server.books.accepted, server.books.billed_usd) == (0, 0, 0)


def test_a_failure_names_the_step_the_way_out_and_googles_words(emulate: Callable[..., MockServer]) -> None:
    emulate(faults=["bad-key"])
    code, stdout, stderr = run("check")
    assert (code, stderr) == (1, "")
    lines = stdout.splitlines()
    assert lines[2] == "credentials  FAILED  the API key is not valid: it is misspelt, deleted or expired"
    assert lines[3].lstrip().startswith("what to do: Copy GOOGLE_API_KEY again")
    assert lines[4].lstrip() == "details: HTTP 400: API key not valid. Please pass a valid API key."
    assert len(lines) == 5
    assert KEY not in stdout


def test_json_is_one_object_with_the_same_facts(emulate: Callable[..., MockServer]) -> None:
    emulate(faults=["permission"])
    code, stdout, stderr = run("check", "--json")
    assert (code, stderr) == (1, "")
    report = json.loads(stdout)
    assert (report["ok"], report["backend"], report["model"]) == (False, "vertex", "veo-3.1-generate-001")
    assert report["steps"]["project"] == "failed"
    [problem] = report["problems"]
    assert (problem["problem"], problem["step"]) == ("permission", "project")
    assert set(problem) == {"problem", "step", "what", "way_out", "said"}


def test_a_refused_connection_is_exit_code_1(
    emulate: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate()
    monkeypatch.setenv("VEO3_BASE_URL", "http://127.0.0.1:1")
    code, stdout, _ = run("check")
    assert code == 1
    assert "address      FAILED  no server listens at http://127.0.0.1:1 (connection refused)" in stdout


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "settings     WRONG   No credentials found"),
        (
            {"GEMINI_API_KEY": "k" * 12, "VEO3_MODEL": "veo-3.1-generate-001"},
            "settings     WRONG   model veo-3.1-generate-001 is not available with VEO3_BACKEND=gemini",
        ),
    ],
)
def test_wrong_settings_are_exit_code_2(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, stdout, _ = run("check")
    assert code == 2
    assert words in stdout
    assert "ready" not in stdout
    code, stdout, _ = run("check", "--json")
    assert (code, json.loads(stdout)["ok"]) == (2, False)


def test_an_invalid_setting_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_RATE_LIMIT", "-1")
    code, stdout, stderr = run("check")
    assert (code, stdout) == (2, "")
    assert stderr.startswith("aveo3: VEO3_RATE_LIMIT=-1 (in the environment) is refused")


def test_mock_mode_has_nothing_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    code, stdout, _ = run("check")
    assert code == 0
    assert "there is nothing to check" in stdout


def test_every_lane_is_checked_and_named(emulate: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch) -> None:
    emulate(faults=["permission@1"])
    monkeypatch.setenv("KEY_B", "b")
    Path("lanes.toml").write_text(
        '[[lane]]\nname = "closed"\nbackend = "vertex"\n'
        '[[lane]]\nname = "other"\nbackend = "gemini"\napi_key_env = "KEY_B"\n'
    )
    code, stdout, _ = run("check", "--lanes", "lanes.toml")
    closed, _, other = stdout.partition("\nother\n")
    assert code == 1
    assert closed.startswith("closed\n")
    assert "FAILED" in closed
    assert "gemini-omni-1.2-flash" in other
    assert other.endswith("ready\n")
    code, stdout, _ = run("check", "--lanes", "lanes.toml", "--json")
    reports = json.loads(stdout)
    assert (code, reports["ok"], [lane["lane"] for lane in reports["lanes"]]) == (0, True, ["closed", "other"])


def test_the_models_of_a_fallback_are_checked_too(
    emulate: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate()
    monkeypatch.setenv("VEO3_FALLBACK", "veo-3.1-fast-generate-001")
    code, stdout, _ = run("check")
    assert (code, stdout.count("ready")) == (0, 2)
    assert "\nveo-3.1-fast-generate-001\n" in stdout


def test_a_run_says_what_an_earlier_run_heard_of_a_model_that_is_shut_down(emulate: Callable[..., MockServer]) -> None:
    emulate(retired=["veo-3.1-generate-001"])
    said = "Google said of model veo-3.1-generate-001: This model publishers/google/models/veo-3.1-generate-001 is no"
    first, again = (run("generate", "--prompt", "a boat", "--yes")[2] for _ in range(2))
    assert (first.count(said), again.count(said)) == (0, 1)


def test_check_and_a_dry_run_tell_what_a_run_heard_of_a_model_that_is_shut_down(
    emulate: Callable[..., MockServer],
) -> None:
    emulate(retired=["veo-3.1-generate-001"])
    said = "Google said of model veo-3.1-generate-001: This model publishers/google/models/veo-3.1-generate-001 is no"
    dry = ("generate", "--prompt", "a boat", "--dry-run")
    assert said not in run(*dry)[1] + run("check")[1], "no run has heard of it yet"
    run("generate", "--prompt", "a boat", "--yes")
    assert said in run(*dry)[1]
    assert said not in run(*dry, "--model", "veo-3.1-fast-generate-001")[1], "of another model nothing was said"
    assert "catalog      NOTE    on " in run("check")[1]
    for command in (dry, ("check",)):
        [note] = json.loads(run(*command, "--json")[1])["notes"]
        assert said in note


# ---- --quota ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def alpha(emulate: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch) -> Callable[..., MockServer]:
    """As `emulate`, with a login for a project instead of a key."""

    def start(**options: Any) -> MockServer:
        server = emulate(**options)
        monkeypatch.delenv("GOOGLE_API_KEY")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "alpha")
        return server

    return start


def test_the_quota_is_a_line_with_what_to_set(
    alpha: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = alpha(rpm=50)
    monkeypatch.setenv("VEO3_RATE_LIMIT", "10")
    code, stdout, stderr = run("check", "--quota")
    assert (code, stderr) == (0, "")
    assert stdout.splitlines()[-3:] == [
        "quota        NOTE    50 requests a minute for veo-3.1-generate-001 in us-central1; set now: 10 requests a "
        "minute, so a part of the quota stays unused",
        "                     what to do: set VEO3_RATE_LIMIT=50",
        "ready",
    ]
    monkeypatch.setenv("VEO3_RATE_LIMIT", "50")
    assert "quota        ok      50 requests a minute" in run("check", "--quota")[1]
    assert "quota" not in run("check")[1]
    assert (server.books.submits, server.books.billed_usd) == (0, 0)


def test_a_quota_that_cannot_be_read_is_exit_code_1_and_says_that_the_rest_is_ready(
    alpha: Callable[..., MockServer],
) -> None:
    alpha(faults=["quota-403"])
    code, stdout, _ = run("check", "--quota")
    assert code == 1
    assert "quota        FAILED  the account may not read the quotas of project alpha\n" in stdout
    assert "--role=roles/cloudquotas.viewer`" in stdout
    assert stdout.endswith("ready, but the quota could not be read\n")


def test_a_quota_of_0_is_not_ready(alpha: Callable[..., MockServer]) -> None:
    alpha(rpm=0)
    code, stdout, _ = run("check", "--quota")
    assert (code, "is 0: Google refuses every submit" in stdout, "ready" in stdout) == (1, True, False)


def test_every_lane_is_told_its_own_quota(alpha: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch) -> None:
    alpha(rpm=50, quotas=["location=europe-west4,rpm=20"])
    monkeypatch.setenv("KEY_B", "b")
    places = "".join(
        f'[[lane]]\nname = "{place}"\nbackend = "vertex"\nlocation = "{place}"\nrate_limit = 30\n'
        for place in ("us-central1", "europe-west4")
    )
    Path("lanes.toml").write_text(f'{places}[[lane]]\nname = "key"\nbackend = "gemini"\napi_key_env = "KEY_B"\n')
    code, stdout, _ = run("check", "--quota", "--lanes", "lanes.toml")
    assert code == 0
    assert "what to do: set rate_limit = 50 in lane us-central1\n" in stdout
    assert "what to do: set rate_limit = 20 in lane europe-west4\n" in stdout
    assert "the Gemini API does not tell a key its quota" in stdout
    code, stdout, _ = run("check", "--quota", "--lanes", "lanes.toml", "--json")
    quotas = [lane["quota"] for lane in json.loads(stdout)["lanes"]]
    assert [limit["compared"] for quota in quotas for limit in quota["limits"]] == ["higher", "lower"]
    assert (quotas[2]["limits"], quotas[2]["source"], bool(quotas[2]["note"])) == ([], None, True)


def test_a_model_of_one_location_is_checked_there(
    alpha: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha(rpm=9)
    monkeypatch.setenv("VEO3_MODEL", "gemini-omni-1.2-flash")
    stdout = run("check", "--quota")[1]
    assert "project alpha in global" in stdout
    assert "9 requests a minute for gemini-omni-1.2-flash in global (aveo3 guesses" in stdout


def test_a_fallback_model_is_told_that_one_variable_holds_for_all(
    alpha: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha(rpm=50, quotas=["model=veo-3.1-fast-generate-001,rpm=20"])
    monkeypatch.setenv("VEO3_FALLBACK", "veo-3.1-fast-generate-001")
    stdout = run("check", "--quota")[1]
    assert "set rate_limit = 20 in a lane for veo-3.1-fast-generate-001 (VEO3_RATE_LIMIT holds for all" in stdout
