"""`aveo3 login`: what credentials there are, where, and how to get others; no secret is shown, none is lost."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from aveo3 import Settings
from aveo3.cli.exit_codes import Exit
from tests.support.terminal import run

KEY = "AIzaSy-s3cr3t-0123456789"


@pytest.fixture(autouse=True)
def no_gcloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


def found(stdout: str) -> dict[str, str]:
    """What the first lines say of each credential."""
    lines = stdout.partition("\n\n")[0].splitlines()[1:]
    return {line[2:15].strip(): line[16:] for line in lines}


def test_without_anything_it_lists_every_way_step_by_step() -> None:
    code, stdout, stderr = run("login")
    assert (code, stderr) == (0, "")
    assert found(stdout)["API key"] == "none (GEMINI_API_KEY)"
    assert "used: nothing, because there is neither a project nor an API key" in stdout
    for step in ("aistudio.google.com/apikey", "gcloud auth application-default login", "keys create key.json"):
        assert step in stdout
    assert stdout.count("aveo3 check") == 3
    assert "aveo3 generate prompts.txt --mock" in stdout


def test_each_credential_is_named_with_its_place_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path(".env").write_text(f"GEMINI_API_KEY={KEY}\nGOOGLE_CLOUD_LOCATION=europe-west4\n")
    monkeypatch.setenv("GOOGLE_API_KEY", f"{KEY}-other")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "films")
    account = {"type": "service_account", "client_email": "a@films.iam.gserviceaccount.com", "private_key": KEY}
    Path("key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    (tmp_path / "gcloud").mkdir()
    login = {"type": "authorized_user", "refresh_token": KEY, "client_secret": KEY}
    (tmp_path / "gcloud" / "application_default_credentials.json").write_text(json.dumps(login))
    code, stdout, stderr = run("login")
    assert (code, stderr) == (0, "")
    assert found(stdout) == {
        "API key": "from GOOGLE_API_KEY in the environment (not shown)",
        "": "from GEMINI_API_KEY in .env does not count beside it",
        "project": "films, from GOOGLE_CLOUD_PROJECT in the environment",
        "region": "europe-west4, from GOOGLE_CLOUD_LOCATION in .env",
        "account file": "key.json, from GOOGLE_APPLICATION_CREDENTIALS in the environment: a service account "
        "(a@films.iam.gserviceaccount.com)",
        "gcloud login": f"{tmp_path}/gcloud/application_default_credentials.json: your own login",
    }
    assert "used: Vertex AI, because GOOGLE_CLOUD_PROJECT=films" in stdout
    assert "--project films" in stdout
    assert "s3cr3t" not in stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "no file of credentials: Google's have a field `type`"),
        ("[]", "no file of credentials"),
        ('{"installed": {}}', "no file of credentials"),
        ('{"type": "\\u001b[31mred"}', "[31mred"),
    ],
)
def test_a_file_that_holds_no_credentials_is_told(
    content: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        Path("key.json").write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    code, stdout, _ = run("login")
    assert code == 0
    assert words in found(stdout)["account file"]
    assert "\x1b" not in stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, ""),
        (b"VEO3_BUDGET=7\n", "VEO3_BUDGET=7\n"),
        (b"VEO3_BUDGET=7", "VEO3_BUDGET=7\n"),
        (b"GEMINI_API_KEY=\n", "GEMINI_API_KEY=\n"),
    ],
)
def test_a_key_is_saved_for_the_owner_alone_and_works(old: bytes | None, new: str) -> None:
    if old is not None:
        Path(".env").write_bytes(old)
        Path(".env").chmod(0o644)
    code, stdout, stderr = run("login", "--save-key", stdin=f"  {KEY}\r\n")
    assert (code, stderr) == (0, "")
    assert "s3cr3t" not in stdout
    assert Path(".env").read_text() == f"{new}GEMINI_API_KEY='{KEY}'\n"
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    key = Settings().api_key
    assert key is not None
    assert key.get_secret_value() == KEY
    assert sorted(os.listdir()) == [".env"]  # noqa: PTH208


def test_a_variable_that_beats_the_saved_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key-of-google")
    _, stdout, _ = run("login", "--save-key", stdin=KEY)
    assert "GOOGLE_API_KEY in the environment beats it: unset that." in stdout


@pytest.mark.parametrize(
    ("env", "typed", "words"),
    [
        ("GEMINI_API_KEY=old\n", KEY, ".env sets GEMINI_API_KEY already: remove that line first"),
        ("GOOGLE_API_KEY=old\n", KEY, ".env sets GOOGLE_API_KEY already"),
        ("", "", "no key was given, and nothing was written"),
        ("", "s3cr3t key", "this is no key: character 7 of 10 is not one that a key can hold"),
        ("", "s3cr3t'key", "this is no key: it has a quote"),
        ("VEO3_BUDGET: 7\n", KEY, ".env:1: this line mentions VEO3_BUDGET, but sets nothing"),
    ],
)
def test_a_key_that_cannot_be_saved_changes_nothing(env: str, typed: str, words: str) -> None:
    Path(".env").write_text(env)
    code, stdout, stderr = run("login", "--save-key", stdin=typed)
    assert (code, stdout) == (Exit.USAGE, "")
    assert words in stderr
    assert "s3cr3t" not in stderr
    assert Path(".env").read_text() == env


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    Path("elsewhere").write_text("")
    Path(".env").symlink_to(tmp_path / "elsewhere")
    code, _, stderr = run("login", "--save-key", stdin=KEY)
    assert code == Exit.USAGE
    assert ".env is a link: add GEMINI_API_KEY to the file that it names" in stderr
    assert Path("elsewhere").read_text() == ""
