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
