"""Fingerprints: what folds together, what never does, and how they explain themselves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.fingerprints import FINGERPRINT_VERSION, NoFingerprint, fingerprint, normal


def of(key: str = "CIV-000697", *, code: str = "duplicate_invoice", entity: str = "invoice", chosen=(), **attributes):
    return fingerprint(code, entity, key, attributes, chosen).value


@pytest.mark.parametrize(
    "key",
    [
        "civ-000697",
        "  CIV-000697 ",
        "CIV\u2011000697",  # a hyphen that does not break
        "CIV\u2013000697",  # an en dash, as mail programs write it
        "ＣＩＶ-０００６９７",  # full-width letters
        "CIV-\u200b000697",  # a space of no width
    ],
)
def test_the_same_entity_written_otherwise_is_the_same(key):
    assert of(key) == of("CIV-000697")


def test_spaces_inside_a_key_count_once():
    assert of("PO  17 \n B") == of("po 17 b") != of("PO17B")


@pytest.mark.parametrize("key", ["CIV-000698", "CIV-00697", "CIV-0006970", "CIV-000697-1", "CIV 000697", "XCIV-000697"])
def test_another_key_is_another_problem(key):
    assert of(key) != of("CIV-000697")


def test_kind_and_entity_type_tell_problems_apart():
    assert len({of(), of(code="freight_misrate"), of(entity="order")}) == 3


def test_only_chosen_attributes_count():
    assert of(line=1, colour="gold") == of(line=2)
    assert of(line=1, chosen=["line"]) != of(line=2, chosen=["line"])


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), ("A b", "a  B"), ({"x": 2.0}, {"x": 2}), ([1.0], [1])])
def test_attributes_are_compared_in_one_form(one, other):
    assert of(line=one, chosen=["line"]) == of(line=other, chosen=["line"])


def test_a_number_and_its_text_are_not_the_same():
    assert of(line=1, chosen=["line"]) != of(line="1", chosen=["line"])


def test_the_order_of_attributes_does_not_matter():
    assert of(a=1, b=2, chosen=["b", "a", "b"]) == of(b=2, a=1, chosen=["a", "b"])


def test_an_attribute_that_is_missing_is_said_to_be():
    parts = fingerprint("k", "invoice", "CIV-1", {}, ["line"]).explain()

    assert parts["missing"] == ["line"]
    assert parts["attributes"] == {"line": None}


def test_the_explanation_names_every_part():
    found = fingerprint("duplicate_invoice", "Invoice", " CIV–1 ", {"line": 2}, ["line"])

    assert found.explain() == {
        "version": FINGERPRINT_VERSION,
        "kind": "duplicate_invoice",
        "entity_type": "invoice",
        "entity_key": "civ-1",
        "attributes": {"line": 2},
    }
    assert len(found.value) == 64


def test_the_fingerprint_of_version_one_never_changes():
    # Stored incidents are found by it: another value here needs another version.
    assert of("CIV-1", chosen=["line"], line=2) == "3d2175fd4c524a23388e7ad93173ed0d69ebc8e8a1922f377b7e00c7ea896de9"


@pytest.mark.parametrize(
    "key", ["", " \t", "-", "—", "...", "n/a", "NULL", "None", "unknown", "0", "00-00", "?", "\u200b", "ＮＡ"]
)
def test_a_key_that_stands_for_nothing_is_refused(key):
    with pytest.raises(NoFingerprint) as refused:
        of(key)

    assert refused.value.errors["entity_key"]


def test_a_key_of_another_script_is_a_key():
    assert of("注文-７") == of("注文-7")


def test_case_is_folded_as_unicode_says():
    assert normal("STRASSE") == normal("straße")


# --- strangers never fold together ---------------------------------------------------------------


def neighbours(key: str) -> set[str]:
    """Keys that look like ``key`` and name something else: other digits, swapped, dropped, added, cut apart."""
    near = {key[:at] + letter + key[at + 1 :] for at in range(len(key)) for letter in "0179-X" if key[at] != letter}
    near |= {key[:at] + key[at + 1] + key[at] + key[at + 2 :] for at in range(len(key) - 1)}
    near |= {key[:at] + key[at + 1 :] for at in range(len(key))}
    near |= {key[:at] + letter + key[at:] for at in range(len(key) + 1) for letter in "0 1"}
    return {other for other in near if normal(other) != normal(key)}


def test_three_thousand_near_misses_never_meet():
    keys = ["CIV-000697", "SO-1234567", "DE-001", "PO 17 B", "4711", "FTI-00000012", "INV/2026/0099"]

    pairs = [(key, other) for key in keys for other in neighbours(key)]
    twins = keys + [f"{key[:-1]}{digit}" for key in keys for digit in range(10)]
    wrong = [pair for pair in pairs if of(pair[0]) == of(pair[1])]
    across = [
        (one, other)
        for one in twins
        for other in twins
        if normal(one) != normal(other)
        and (of(one) == of(other) or of(one, code="freight_misrate") == of(other, code="freight_misrate"))
    ]

    assert len(pairs) + len(twins) ** 2 > 3_000
    assert wrong == across == []


@settings(max_examples=200, deadline=None)
@given(one=st.text(min_size=1, max_size=30), other=st.text(min_size=1, max_size=30))
def test_two_texts_meet_exactly_where_they_are_written_the_same(one, other):
    try:
        same = of(one) == of(other)
    except NoFingerprint:
        return

    assert same is (normal(one) == normal(other))


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_the_normal_form_of_a_normal_form_is_itself(text):
    once = normal(text)

    assert normal(once) == once
