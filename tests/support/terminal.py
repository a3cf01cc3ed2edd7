"""`aveo3 …` as a person runs it in a terminal, in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from aveo3.cli import app


def run(*arguments: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one `aveo3 …`, which must not end in a traceback."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr
