"""The server that other tests share."""

import psycopg
import pytest
import sqlalchemy

from tests.postgres import PostgresServer


def test_databases_are_separate(postgres: PostgresServer) -> None:
    one, two = (sqlalchemy.create_engine(postgres.new_database(name)) for name in ("one", "two"))
    with one.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE notes (pitch integer)"))
    assert sqlalchemy.inspect(one).get_table_names() == ["notes"]
    assert sqlalchemy.inspect(two).get_table_names() == []


def test_a_closed_server_is_gone_with_its_files() -> None:
    server = PostgresServer()
    url = server.new_database("one").replace("+psycopg", "")
    folder = server._folder
    assert folder.is_dir()
    server.close()
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
