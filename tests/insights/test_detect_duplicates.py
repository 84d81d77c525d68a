"""Duplicate invoices: precision and recall on a labelled set, and each way in which references are confused."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from insights.detectors.definitions import DuplicateRule, read
from insights.detectors.duplicates import Invoice, cents, compare, normal_party, pairs, same_reference, swapped
from insights.detectors.looking import World, events_before
from tests.insights.detecting import cases, definition, finished, looked
from tests.insights.factories import START, at, make_log
from tests.insights.invoices import labelled

RULE = DuplicateRule.model_validate(
    {"fields": {"party": "vendor", "amount": "amount", "reference": "reference", "apart": ["delivery"]}}
)


@pytest.mark.parametrize("seed", [20260105, 7, 4711])
def test_most_copies_are_found_and_hardly_anything_else(seed):
    given = labelled(seed=seed)

    found = {pair[1].key for pair in pairs(given.invoices, RULE)}

    right = len(found & given.copies)
    missed = Counter(given.kinds[key] for key in given.copies - found)
    wrong = Counter(given.kinds.get(key, "original") for key in found - given.copies)
    assert len(given.copies) >= 350
    assert right / len(found) >= 0.97, wrong
    assert right / len(given.copies) >= 0.9, missed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INV-4711", "INV-4711"),
        ("INV-4711", "inv 4711"),
        ("INV-004711", "INV/4711"),
        ("4711", "INV-4711"),
        ("2026-004711", "2026/4711"),
        ("INV-4711", "INV4711 COPY"),
        ("INV-40711", "INV-4O711"),
        ("RE47 1108", "RE 471108"),
        ("F47110", "F47101"),
        ("İNV-4711", "İnv-4711"),
    ],
)
def test_references_that_say_the_same(one, other):
    score, why = same_reference(one, other)

    assert score >= RULE.score, why
    assert same_reference(other, one)[0] == score


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INV-4711", "INV-4712"),
        ("INV-4711", "INV-4721"),
        ("INV-4711-1", "INV-4711-2"),
        ("INV-4711", "INV-4711-2"),
        ("2026-1-12", "2026-11-2"),
        ("A-4711", "B-4711"),
        ("12", "21"),
        ("4711", ""),
        ("", ""),
        ("---", "///"),
    ],
)
def test_references_that_only_look_alike(one, other):
    assert same_reference(one, other)[0] < RULE.score


def test_two_digits_are_swapped_only_where_neighbours_changed_places():
    assert swapped("123456", "123465")
    assert not swapped("123456", "123546"[::-1])
    assert not swapped("123456", "153426")
    assert not swapped("123456", "1234567")


def invoice(key, **changes):
    values = {
        "key": key,
        "party": "V-1",
        "amount": Decimal("10.00"),
        "at": START,
        "known": START,
        "reference": "INV-4711",
    }
    return Invoice(**{**values, **changes})


def test_a_match_explains_itself_field_by_field():
    match = compare(invoice("a"), invoice("b", at=START + timedelta(days=3), reference="inv 4711"), 45)

    assert match.score == pytest.approx(0.9668, abs=0.001)
    assert set(match.reasons) == {"party", "amount", "date", "reference"}
    assert match.reasons["date"] == "3 days apart"
    assert "case, punctuation" in match.reasons["reference"]


@pytest.mark.parametrize(
    "changes",
    [{"currency": "USD"}, {"apart": ("DN2",)}, {"at": START + timedelta(days=46)}],
    ids=["currency", "delivery", "date"],
)
def test_another_currency_delivery_or_season_is_another_invoice(changes):
    first = invoice("a", currency="EUR", apart=("DN1",))

    assert compare(first, invoice("b", **{"currency": "EUR", "apart": ("DN1",), **changes}), 45).score == 0


def test_parties_and_amounts_are_compared_as_they_are_meant():
    assert normal_party("v-00012") == normal_party("V 12")
    assert normal_party("Müller & Co.") == normal_party("MÜLLER  CO")
    assert (cents(19.995), cents("12.5"), cents("x"), cents(float("nan"))) == (
        Decimal("20.00"),
        Decimal("12.50"),
        None,
        None,
    )


def test_of_three_alike_both_later_ones_repeat_an_earlier():
    found = pairs([invoice("c", known=at(2)), invoice("a", known=at(0)), invoice("b", known=at(1))], RULE)

    assert [(one.key, other.key) for one, other, _ in found] == [("a", "b"), ("a", "c")]


@pytest.mark.django_db
def test_a_log_of_invoices_is_watched_with_the_pair_as_evidence():
    rows = [
        ("I1", "Received", at(0), {"vendor": "V-1", "amount": 99.9, "reference": "INV-4711"}),
        ("I2", "Received", at(30), {"vendor": "v1", "amount": 99.9, "reference": "INV-4712"}),
        ("I3", "Received", at(50), {"vendor": "V-01", "amount": 99.9, "reference": "inv4711"}),
        ("I4", "Received", at(60), {"vendor": "V-9", "amount": 99.9, "reference": "INV-4711"}),
    ]
    log = finished(make_log(rows, case_attributes=["vendor", "amount", "reference"]))
    rule = {"kind": "duplicate", "fields": {"party": "vendor", "amount": "amount", "reference": "reference"}}

    found = looked(log, rule)

    assert cases(found) == ["I3"]
    (one,) = found.findings
    assert (one.at, one.facts["repeats"], one.values["reference"]) == (at(50), "I1", "inv4711")
    assert cases(looked(log, rule, now=at(49))) == []
    told = events_before(read(definition(rule)), World(log, log.last_at), one)
    assert [event["at"] for event in told] == [at(0).isoformat(), at(50).isoformat()]
