"""What the door's benchmark leans on: a system whose pages end, and deliveries that a hook takes."""

import json
from typing import Any

import pytest
from django.test import Client

from connectors import actions
from connectors.models import Delivery
from tests.benchmarks.door import target
from tests.benchmarks.hooks import WAYS, requests
from tests.benchmarks.target import PAGE, ROOT, Environment


def test_each_changed_record_stands_on_exactly_one_page() -> None:
    environment, seen, link = Environment(PAGE * 2 + 7), [], f"{ROOT}/incidents"
    for _ in range(3):
        page: Any = environment.answer("GET", link)
        seen += [row["incidentid"] for row in page["value"]]
        link = page.get("@odata.nextLink") or page["@odata.deltaLink"]

    assert len(seen) == len(set(seen)) == PAGE * 2 + 7
    assert "@odata.deltaLink" in page
    assert page["value"]
    last: Any = environment.answer("GET", link)
    assert last["value"] == []


def test_the_system_to_call_runs_in_a_process_of_its_own() -> None:
    from tests.benchmarks.client import Connection, Request

    with target(3) as port:
        connection = Connection("127.0.0.1", port)
        token = connection.send(Request("/bench/oauth2/v2.0/token", body=b"grant_type=x", method="POST"))
        row = connection.send(Request(f"{ROOT}/incidents(00000000-0000-0000-0000-000000000001)"))
        page = connection.send(Request(f"{ROOT}/incidents"))
        connection.close()

    assert json.loads(token.body)["access_token"]
    assert json.loads(row.body)["incidentid"].endswith("01")
    assert json.loads(page.body)["@odata.deltaLink"].startswith(f"http://127.0.0.1:{port}{ROOT}")


@pytest.mark.parametrize("name", WAYS)
def test_every_delivery_of_the_benchmark_is_taken_and_new(name: str, db: None, client: Client) -> None:
    way = WAYS[name]
    actions.create_connection(way.slug, way.kind, actor="system:bench", config=way.config, **way.secrets)

    for one in [*requests(name, 0, 3), *requests(name, 1, 3)]:
        headers = {key: value for key, value in one.headers if key != "Content-Type"}
        answer = client.post(one.path, one.body, content_type="application/json", headers=headers)
        assert answer.status_code == 202, answer.content

    assert Delivery.objects.count() == 6
