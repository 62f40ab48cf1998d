"""Addresses of databases."""

from runtime.databases import hidden, reason, with_driver


def test_postgresql_gets_the_driver_that_the_extra_installs() -> None:
    for scheme in ("postgresql", "postgres"):
        assert with_driver(f"{scheme}://me:pw@host/db") == "postgresql+psycopg://me:pw@host/db"
    for address in ("postgresql+psycopg2://host/db", "sqlite:///sweeps.db", "http://server:5000"):
        assert with_driver(address) == address


def test_a_password_is_hidden_and_nothing_else() -> None:
    assert hidden("postgresql://me:pw@host:5432/db") == "postgresql://me:***@host:5432/db"
    for address in ("http://server:5000", "sqlite:////a/b:c/d.db", "postgresql+psycopg://team@host/db"):
        assert hidden(address) == address


def test_a_missing_driver_is_named_with_its_remedy() -> None:
    assert "`pip install -e '.[postgres]'`" in reason(ModuleNotFoundError("No module", name="psycopg2"))
    assert "`pip install pymysql`" in reason(ModuleNotFoundError("No module", name="pymysql"))
