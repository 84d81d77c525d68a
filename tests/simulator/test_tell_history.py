"""The year's event logs: the same each time, and what was planted is found again by asking the file alone."""

import csv
import hashlib
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.simulator.distributor import history
from connectors.simulator.distributor.business import build as build_world

TODAY = date(2026, 11, 22)
EU, US = "demf", "usmf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history")
    history.write(path, 7, TODAY)
    return path


@pytest.fixture(scope="module")
def logs() -> dict[str, history.Log]:
    return history.build(7, TODAY)


class Asked:
    """The files as one table of events, by SQL."""

    def __init__(self, folder: Path) -> None:
        self.db = duckdb.connect()
        self.db.execute(
            'CREATE TABLE e AS SELECT *, row_number() OVER (PARTITION BY "order" ORDER BY time) AS n'
            f" FROM read_csv('{folder}/*.csv', header = true, types = {{'invoice': 'VARCHAR'}})"
        )

    def orders(self, sql: str, unit: str) -> set[str]:
        return {row[0] for row in self.db.execute(sql, [unit]).fetchall()}

    def one(self, sql: str, *values: Any) -> Any:
        return self.db.execute(sql, list(values)).fetchall()[0]


@pytest.fixture(scope="module")
def asked(folder: Path) -> Asked:
    return Asked(folder)


def both(first: str, second: str, extra: str = "") -> str:
    return (
        'SELECT DISTINCT x."order" FROM e x JOIN e y ON x."order" = y."order"'
        f" WHERE x.activity = '{first}' AND y.activity = '{second}' AND x.business_unit = ? {extra}"
    )


def test_the_same_seed_and_day_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = history.write(tmp_path, 7, TODAY)

    for path in again:
        one, other = (hashlib.sha256(place.read_bytes()).hexdigest() for place in (path, folder / path.name))
        assert one == other


def test_another_seed_writes_another_log(logs: dict[str, history.Log]) -> None:
    assert history.build(8, TODAY)[US].rows != logs[US].rows


def test_europe_has_more_than_twenty_thousand_cases_over_a_year(asked: Asked) -> None:
    cases, events, first, last = asked.one(
        'SELECT count(DISTINCT "order"), count(*), min(time)::DATE, max(time)::DATE FROM e WHERE business_unit = ?',
        "EU",
    )

    assert cases >= 20_000
    assert events >= 150_000
    assert (last - first).days >= 360
    assert last < TODAY


def test_each_row_has_every_column_and_its_company_alone(folder: Path) -> None:
    for company, unit in ((EU, "EU"), (US, "US")):
        with (folder / history.file_of(company)).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == history.COLUMNS
        assert {row["business_unit"] for row in rows} == {unit}
        assert all(row["order"] and row["activity"] and row["user"] for row in rows)


@pytest.mark.parametrize(("company", "unit"), [(EU, "EU"), (US, "US")])
def test_whoever_released_and_confirmed_is_found(
    asked: Asked, logs: dict[str, history.Log], company: str, unit: str
) -> None:
    found = asked.orders(both("Release credit hold", "Confirm order", "AND x.user = y.user"), unit)

    assert logs[company].planted["duty_conflict"] <= found
    assert len([order for order in found if order.startswith("SO-")]) == 4
    assert 20 <= len(found) < 300


@pytest.mark.parametrize(("company", "unit"), [(EU, "EU"), (US, "US")])
def test_second_invoices_within_seconds_are_found(
    asked: Asked, logs: dict[str, history.Log], company: str, unit: str
) -> None:
    soon = "AND x.n < y.n AND y.time - x.time < INTERVAL 10 SECOND"

    found = asked.orders(both("Post invoice", "Post invoice", soon), unit)

    whole = {order for order in logs[company].planted["invoiced_twice"] if not order.startswith("SO-")}
    assert whole <= found
    assert len([order for order in found if order.startswith("SO-")]) >= 4


def test_prices_are_changed_after_invoicing_in_one_segment(asked: Asked, logs: dict[str, history.Log]) -> None:
    shares = dict(
        asked.db.execute(
            'SELECT segment, avg(changed) FROM (SELECT segment, "order",'
            " max((activity = 'Change invoiced price')::INT) AS changed FROM e WHERE channel <> 'Sales desk'"
            " GROUP BY 1, 2) GROUP BY 1"
        ).fetchall()
    )

    assert shares["Key account"] > 0.12
    assert max(shares["Standard"], shares["Small"]) < 0.02
    assert len(logs[EU].planted["price_rework"]) > 400


def test_one_warehouse_picks_again(asked: Asked, logs: dict[str, history.Log]) -> None:
    again = Counter(
        dict(
            asked.db.execute(
                "SELECT plant, count(*) FROM (SELECT plant, \"order\" FROM e WHERE activity = 'Pick goods'"
                " AND channel <> 'Sales desk' GROUP BY 1, 2 HAVING count(*) > 1) GROUP BY 1"
            ).fetchall()
        )
    )

    assert set(again) == {history.LOOP_PLANT}
    assert again[history.LOOP_PLANT] >= len(logs[EU].planted["pick_loop"]) > 200


def test_one_carrier_of_each_company_is_slow(asked: Asked) -> None:
    hours = dict(
        asked.db.execute(
            'SELECT x.carrier, median(epoch(y.time) - epoch(x.time)) / 3600 FROM e x JOIN e y ON x."order" = y."order"'
            " WHERE x.activity = 'Hand over to carrier' AND y.activity = 'Deliver' GROUP BY 1"
        ).fetchall()
    )

    slow = set(history.SLOW.values())
    assert min(hours[name] for name in slow) > 2.5 * max(took for name, took in hours.items() if name not in slow)


def test_one_region_loses_the_beginning_of_its_week_in_the_last_weeks(asked: Asked) -> None:
    until = TODAY - timedelta(days=history.BREAK_DAYS)
    counted = (
        "SELECT avg(c) FROM (SELECT time::DATE AS d, count(*) AS c FROM e WHERE n = 1 AND region = ?"
        " AND channel <> 'Sales desk' AND isodow(time) <= 3 AND time::DATE {} ? GROUP BY 1)"
    )

    shares = {
        region: asked.one(counted.format(">="), region, until)[0] / asked.one(counted.format("<"), region, until)[0]
        for region in ("DE", "NL", "FR")
    }

    assert shares["NL"] < 0.3
    assert min(shares["DE"], shares["FR"]) > 0.7


def test_a_blocked_item_and_a_skipped_goods_issue_are_found(asked: Asked, logs: dict[str, history.Log]) -> None:
    blocked = asked.orders(
        f"SELECT DISTINCT \"order\" FROM e WHERE item = '{history.BLOCKED}' AND business_unit = ?", "EU"
    )
    skipped = asked.orders(
        'SELECT "order" FROM e WHERE business_unit = ? GROUP BY 1'
        " HAVING max((activity = 'Hand over to carrier')::INT) = 1 AND max((activity = 'Post goods issue')::INT) = 0",
        "US",
    )

    assert logs[EU].planted["blocked_item"] <= blocked
    assert logs[US].planted["no_goods_issue"] <= skipped
    assert len([order for order in skipped if order.startswith("SO-")]) == 2


def test_the_youngest_cases_are_the_orders_that_fo_has(asked: Asked) -> None:
    world = build_world(7, TODAY)
    in_log = {
        row[0] for row in asked.db.execute("SELECT DISTINCT \"order\" FROM e WHERE channel = 'Sales desk'").fetchall()
    }

    assert in_log == {order.number for order in world.orders}
    held = {order.number for order in world.orders if order.row.get("CreditHold") == "Yes"}
    assert held <= {
        row[0] for row in asked.db.execute("SELECT \"order\" FROM e WHERE activity = 'Place credit hold'").fetchall()
    }
    numbers = {
        row[0] for row in asked.db.execute("SELECT DISTINCT invoice FROM e WHERE invoice LIKE 'INV-%'").fetchall()
    }
    assert numbers <= {bill["InvoiceNumber"] for bill in world.rows["SalesInvoiceHeadersV2"]}


def test_many_cases_still_run_when_the_log_ends(asked: Asked) -> None:
    running = asked.one(
        'SELECT count(*) FROM (SELECT "order" FROM e GROUP BY 1'
        " HAVING max((activity = 'Clear invoice')::INT) = 0 AND max(time) > ?::DATE - 30)",
        TODAY,
    )

    assert running[0] > 1000
