"""`aveo3 serve`: what it refuses before it listens."""

from __future__ import annotations

import socket

import pytest

from tests.support.terminal import run


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--host", "0.0.0.0"], {}, "--host 0.0.0.0: whoever reaches the server there could spend your money"),
        ([], {"VEO3_JOURNAL": "none"}, "VEO3_JOURNAL=none: a server keeps its requests in the journal. Unset it."),
        (["--rate", "often"], {}, "--rate often: write requests per time"),
    ],
)
def test_what_cannot_be_served_is_bad_usage(
    arguments: list[str], variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, stdout, stderr = run("serve", "--mock", *arguments)
    assert (code, stdout) == (2, "")
    assert said in stderr


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, stdout, stderr = run("serve", "--mock", "--port", str(port))
    assert (code, stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}: " in stderr
    assert "--port 0 for a free one." in stderr


def test_callers_are_added_listed_and_removed() -> None:
    assert run("serve", "keys", "list") == (
        0,
        "",
        "there are no keys: `aveo3 serve` listens on this machine only\n",
    )
    code, key, stderr = run("serve", "keys", "add", "film", "--weight", "2", "--budget", "50/day", "--budget", "$500")
    assert (code, stderr) == (0, "The key of film, shown only now:\n")
    assert key.startswith("aveo3_")
    run("serve", "keys", "add", "games", "--models", "veo-3.1-generate-001", "--max-queued", "7", "--label", "a=b")
    assert run("serve", "keys", "list")[1].splitlines() == [
        "film: weight 2, budget US$ 50/day and 500, all models, any number waiting",
        "games: weight 1, no budget, models veo-3.1-generate-001, at most 7 waiting, a=b",
    ]
    assert run("serve", "keys", "remove", "film") == (0, "", "film has no key any more\n")
    assert run("serve", "keys", "remove", "film")[2] == "aveo3: no caller is called 'film': there are games.\n"


def test_the_secret_of_callbacks_is_shown_once_and_can_be_renewed() -> None:
    code, stdout, _ = run("serve", "keys", "add", "film", "--callback", "https://example.com/hook")
    key, secret = stdout.split()
    assert (code, key[:6], secret[:6]) == (0, "aveo3_", "whsec_")
    listed = run("serve", "keys", "list")[1]
    assert "callback https://example.com/hook" in listed
    assert secret not in listed
    code, renewed, _ = run("serve", "keys", "secret", "film")
    assert (code, renewed[:6]) == (0, "whsec_")
    assert renewed.strip() != secret
    assert run("serve", "keys", "secret", "games")[2] == "aveo3: no caller is called 'games': there are film.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "--callback", "a.b"], "--callback a.b: write it as https://host/path"),
        (["../x"], "name: "),
        (["x", "--weight", "0"], "weight: must be greater than 0 (it is 0.0)"),
        (["x", "--budget", "50/week"], "--budget 50/week: write US$ a day, such as 50/day, or in all, such as 500"),
        (["x", "--budget", "5", "--budget", "6"], "--budget 6: "),
        (["x", "--models", "veo-9"], "--models: model veo-9 is not in the catalog"),
    ],
)
def test_a_caller_that_cannot_be_is_bad_usage(arguments: list[str], said: str) -> None:
    code, stdout, stderr = run("serve", "keys", "add", *arguments)
    assert (code, stdout) == (2, "")
    assert said in stderr
