"""PostgreSQL databases and a Redis database that belong to one test alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

POSTGRES = "postgres://root@127.0.0.1:5432/test"
REDIS = "redis://127.0.0.1:6379/0"
OWN_REDIS = 5  # only this one is ever flushed


def _server() -> str:
    given = os.environ.get("DATABASE_URL", "")
    return given if given.startswith("postgres") else POSTGRES


@contextmanager
def postgres(name: str) -> Iterator[str]:
    """Make a database, give its address, drop it."""
    parts = urlsplit(_server())
    address = urlunsplit(parts._replace(scheme="postgresql", path="/postgres"))
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def broker() -> Iterator[tuple[str, "redis.Redis"]]:
    """Give the address of a Redis database of its own, and a client that can empty it."""
    given = os.environ.get("CELERY_BROKER_URL", "")
    parts = urlsplit(given if given.startswith("redis") else REDIS)
    address = urlunsplit(parts._replace(path=f"/{OWN_REDIS}"))
    client = redis.Redis.from_url(address)
    client.flushdb()
    try:
        yield address, client
    finally:
        client.flushdb()
        client.close()
