"""Addresses of databases and servers: PostgreSQL's driver, passwords, and why one cannot be used."""

from __future__ import annotations

import re

POSTGRES = ("postgresql", "postgres")
PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")


def with_driver(address: str) -> str:
    """Name the driver in the address of a PostgreSQL database; SQLAlchemy's default is an older one."""
    scheme, separator, rest = address.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in POSTGRES else address


def hidden(address: str) -> str:
    """Hide the password of an address."""
    return PASSWORD.sub("***", address)


def reason(error: BaseException) -> str:
    """Say in one line why a database or server cannot be used; a missing driver with its remedy."""
    if isinstance(error, ImportError):
        package = error.name or getattr(error.__cause__, "name", None) or str(error)
        remedy = "pip install -e '.[postgres]'" if package.startswith("psycopg") else f"pip install {package}"
        return f"the Python package {package} is not installed; install it with `{remedy}`"
    for cause in (error, error.__cause__):
        if driver_error := getattr(cause, "orig", None):  # its message is without SQLAlchemy's advice
            error = driver_error
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(" .")
