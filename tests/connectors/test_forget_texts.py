"""Long texts are forgotten once no connection has named them for long; whoever names one again keeps it."""

from datetime import timedelta
from typing import Any

import pytest

from audit.clock import db_now
from audit.errors import Invalid
from connectors import actions, tasks, texts
from connectors.kinds.openapi import example
from connectors.models import Connection, KeptText
from tests.connectors.openapi_world import document, make_api

pytestmark = pytest.mark.django_db
OTHER = document({"/ping": {"get": {"operationId": "ping", "responses": {"200": {"description": "Done."}}}}})


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    texts.is_kept.cache_clear()


def age(days: float) -> None:
    """Let every text be kept for so long already: the rows' time moves, never the clock."""
    KeptText.objects.update(kept_at=db_now() - timedelta(days=days))


def names() -> set[str]:
    return {f"sha256:{digest}" for digest in KeptText.objects.values_list("digest", flat=True)}


def replaced() -> Connection:
    """A connection whose first document has given way to another."""
    connection = make_api(operations=[])
    config = {**connection.config, "document": OTHER, "chosen": [], "declarations": ""}
    return actions.update_connection(connection, actor="automation", config=config)


def test_a_text_that_was_replaced_long_ago_is_forgotten_and_the_one_in_use_stays() -> None:
    connection = replaced()
    age(91)

    assert texts.forget_unused() == 1
    assert names() == {connection.config["document"]} == {texts.reference_to(OTHER)}


def test_a_text_that_was_replaced_lately_stays() -> None:
    replaced()
    age(89)

    assert texts.forget_unused() == 0


def test_the_days_count_from_when_it_was_last_in_use_not_from_when_it_came() -> None:
    connection = make_api(operations=[])
    age(1000)
    texts.forget_unused()
    actions.update_connection(
        connection, actor="automation",
        config={**connection.config, "document": OTHER, "chosen": [], "declarations": ""},
    )  # fmt: skip

    assert texts.forget_unused() == 0
    assert names() == {texts.reference_to(example.DOCUMENT), texts.reference_to(OTHER)}


def test_many_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "FORGET_BATCH", 2)
    old = db_now() - timedelta(days=91)
    KeptText.objects.bulk_create(KeptText(digest=str(n) * 64, text="{}", kept_at=old) for n in range(5))

    assert texts.forget_unused() == 5


@pytest.mark.parametrize("entered", [example.DOCUMENT, texts.reference_to(example.DOCUMENT)], ids=["text", "name"])
def test_a_text_that_is_named_while_old_ones_are_forgotten_stays(entered: str) -> None:
    replaced()
    age(91)
    old = KeptText.objects.filter(kept_at__lt=db_now() - timedelta(days=90))
    found = list(old.values_list("digest", flat=True))
    make_api(slug="second", config={"document": entered})

    texts._forget(found, old)

    assert texts.reference_to(example.DOCUMENT) in names()


def test_a_name_whose_text_was_forgotten_cannot_be_saved_even_where_it_is_remembered() -> None:
    replaced()
    lost = texts.reference_to(example.DOCUMENT)
    assert texts.is_kept(lost)
    KeptText.objects.filter(digest=lost.removeprefix("sha256:")).delete()

    with pytest.raises(Invalid, match="enter it again") as refusal:
        make_api(slug="second", config={"document": lost})

    assert list(refusal.value.errors) == ["document"]
    assert not Connection.objects.filter(slug="second").exists()


def test_nothing_is_forgotten_where_the_setting_is_nought(settings: Any) -> None:
    settings.TEXT_KEEP_DAYS = 0
    replaced()
    age(10_000)

    assert texts.forget_unused() == 0


def test_of_two_schedulers_one_forgets() -> None:
    replaced()
    age(91)
    first = tasks.forget_texts()
    age(91)

    assert (first, tasks.forget_texts()) == (1, 0)
