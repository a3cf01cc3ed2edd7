"""A Redis server of a benchmark's own: Debian's `redis-server` on a loopback port, with the append-only file that its
documentation recommends where data matters (`appendonly yes`, synced every second).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self


class NoRedis(RuntimeError):
    """There is no redis-server on the PATH, or it does not start."""


class RedisServer:
    """`with RedisServer() as server`. `kill` and `again` are a crash and a start with the same data and port."""

    def __enter__(self) -> Self:
        if shutil.which("redis-server") is None:
            raise NoRedis("there is no redis-server on the PATH: apt-get install redis-server")
        self._place = tempfile.TemporaryDirectory(prefix="farm-redis-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.again()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._place.cleanup()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """Kill it, as the kernel does for want of memory."""
        self._process.kill()
        self._process.wait()

    def again(self) -> None:
        """Start it on the same port with the same data, and return when it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._place.name, "appendonly": "yes"}
        command = ["redis-server", *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
        with (Path(self._place.name) / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        for _ in range(200):
            if self._answers():
                return
            time.sleep(0.05)
        raise NoRedis((Path(self._place.name) / "log").read_text("utf-8")[-2000:])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
