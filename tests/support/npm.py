"""Packages of npm for tests, in a directory outside the repository that is kept between sessions."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def installed(source: Path, name: str) -> Path:
    """A copy of the directory `source` with the packages of its package.json. Skips the test where npm is missing."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on this machine; {name} cannot run")
    content = b"".join(file.read_bytes() for file in sorted(source.iterdir()))
    home = Path(tempfile.gettempdir()) / f"aveo3-{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not home.exists():
        making = Path(tempfile.mkdtemp(prefix=f"aveo3-{name}-making-"))
        shutil.copytree(source, making, dirs_exist_ok=True)
        quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        command = [shutil.which("npm") or "npm", "install", *quietly]
        npm = subprocess.run(command, cwd=making, capture_output=True, text=True)
        assert npm.returncode == 0, f"{' '.join(command)} failed:\n{npm.stdout}{npm.stderr}"
        try:
            making.rename(home)
        except OSError:
            if not home.exists():  # another worker was faster; use its copy
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return home
