"""Business records that a text names: found by declared shapes, never by chance, in a time that its length bounds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import Arguments
from connectors.talk import mentions
from connectors.talk.mentions import Mention, Patterns, mentioned
from tests.connectors.hostile import PATTERNS, SHAPES, TEXTS


class Settings(Arguments):
    """A kind that has the setting."""

    patterns: Patterns = mentions.patterns()


@pytest.mark.parametrize(
    "text",
    [
        "SO-000697 is stuck",
        "please look at so-000697.",
        "(SO-000697)",
        "*SO-000697*, _SO-000697_ and `SO-000697`",
        "SO\u2013000697 with the dash of a phone",
        "SO-000\u200b697 with what a mail program left",
        "\uff33\uff2f\uff0d\uff10\uff10\uff10\uff16\uff19\uff17",
        "order:SO-000697;",
        "see SO-000697.pdf",
        "SO-000697/urgent",
    ],
)
def test_a_number_is_found_however_people_write_it(text: str) -> None:
    assert mentioned(text, PATTERNS) == [Mention("order", "SO-000697")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SO-00697",
        "SO-0006971",
        "XSO-000697",
        "RSO-SO-000697",
        "SO-000697-2",
        "SO-000697_2",
        "SO-000697.5",
        "SO-000697,50",
        "SO-000697x",
        "SO-000697\u00e9",
        "SO-00069\u00b9",
        "SO-00069\u0667",
        "SO 000697",
        "\u0405O-000697",
    ],
)
def test_what_only_looks_like_a_number_is_none(text: str) -> None:
    assert mentioned(text, "order: SO-######") == []


def test_several_are_given_once_each_in_the_order_of_the_text() -> None:
    found = mentioned("INV-10482 bills SO-000697; inv-10482, and CAS-ab-00012 and ab1234 say so", PATTERNS)

    assert found == [
        ("invoice", "INV-10482"), ("order", "SO-000697"), ("case", "CAS-AB-00012"), ("material", "AB1234"),
    ]  # fmt: skip


def test_of_two_shapes_at_one_place_the_longer_fit_counts_and_of_equals_the_first() -> None:
    assert mentioned("10/4711", "order: ####\ninvoice: ##/####") == [("invoice", "10/4711")]
    assert mentioned("4500000001", "purchase_order: 45########\ndelivery: ##########") == [
        ("purchase_order", "4500000001")
    ]
    assert mentioned("8000000001", "purchase_order: 45########\ndelivery: ##########") == [("delivery", "8000000001")]


def test_more_than_anybody_means_is_cut_off() -> None:
    text = " ".join(f"SO-{number:06}" for number in range(500))

    found = mentioned(text, PATTERNS)

    assert len(found) == mentions.MOST_MENTIONS
    assert found[0].key == "SO-000000"


def test_only_the_beginning_of_an_endless_text_is_looked_at() -> None:
    assert mentioned("x " * mentions.LONGEST_TEXT + "SO-000697", PATTERNS) == []


@pytest.mark.parametrize(("number", "kept"), [("INV-111", 6), ("INV-11-2", 6), ("INV-11-2", 7), ("INV-11.5", 7)])
def test_a_number_that_the_cut_goes_through_is_no_mention(number: str, kept: int) -> None:
    text = " " * (mentions.LONGEST_TEXT - kept) + number

    assert mentioned(text, PATTERNS) == []


def test_an_event_carries_the_numbers_by_their_type() -> None:
    found = mentioned("SO-000697 and SO-000698 under INV-1", PATTERNS)

    assert mentions.by_type(found) == {"order": ["SO-000697", "SO-000698"], "invoice": ["INV-1"]}


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ("SO-######", "write the type"),
        ("Order: SO-######", "write the type"),
        ("order:", "no shape|too much"),
        ("order: SO-#*", "no shape"),
        ("order: (a+)+#", "no shape"),
        ("order: SO ######", "no shape"),
        ("order: SO-\u0667###", "no shape"),
        ("order: " + "#" * 41, "at most 40"),
        ("order: SO-@@@@@@", "too much"),
        ("order: A##", "too much"),
        ("order: A-#+#+", "where its #\\+ ends"),
        ("order: A-#+#", "where its #\\+ ends"),
        ("order: A-#+7", "where its #\\+ ends"),
        ("order: @+B-##", "where its @\\+ ends"),
        ("order: -####", "begin and end"),
        ("order: ####.", "begin and end"),
        ("\n".join(["order: SO-######"] * 21), "at most 20 lines"),
    ],
)
def test_a_shape_that_cannot_be_relied_on_is_refused_with_what_is_wrong(patterns: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"patterns": patterns})


def test_the_setting_is_kept_as_it_was_written_and_may_be_empty() -> None:
    assert Settings.model_validate({"patterns": "\n order: SO-###### \n\n"}).patterns == "order: SO-######"
    assert mentioned("SO-000697", Settings().patterns) == []


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_hostile_texts_name_nothing(text: str) -> None:
    assert mentioned(text, SHAPES) == []


@given(st.text(max_size=200))
def test_whatever_is_found_has_its_declared_shape(text: str) -> None:
    for entity_type, key in mentioned(text + " SO-123456 " + text, PATTERNS):
        shape = {"order": r"SO-\d{6}", "invoice": r"INV-\d{1,20}", "case": r"CAS-[A-Z]+-\d{5}"}
        assert re.fullmatch(shape.get(entity_type, r"[A-Z]{2}\d{4}"), key, re.ASCII)


@given(st.text(max_size=60), st.text(max_size=60))
def test_between_spaces_a_number_is_always_found(before: str, after: str) -> None:
    assert ("order", "SO-123456") in mentioned(f"{before} SO-123456 {after}", "order: SO-######")
