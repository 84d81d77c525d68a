"""Expressions: what they compute, what they refuse, and where they say it went wrong."""

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Thread

import pytest

from incidents.expressions import (
    MAX_LIST,
    MAX_SOURCE,
    BadExpression,
    ExpressionFailed,
    compile_expression,
    number,
    render,
    slots,
)

INVOICE = {"InvoiceNumber": "CIV-1", "Amount": 1500, "Rate": 0.1, "Lines": [{"No": 1}, {"No": 2}], "Note": None}


def value(source: str, **variables):
    return compile_expression(source).evaluate(variables)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("invoice.Amount == 1500", True),
        ("invoice.Amount == 1500.0", True),
        ("invoice.Amount * 2", 3000),
        ("invoice.Amount / 1000", 1.5),
        ("invoice.Amount * invoice.Rate", 150.0),
        ("size(invoice.Lines) + 1", 3),
        ("size(invoice.Lines) > 1", True),
        ("invoice.Lines[1].No", 2),
        ("invoice.Lines.map(line, line.No)", [1, 2]),
        ("invoice.Lines.filter(line, line.No > 1)[0].No", 2),
        ("sum(invoice.Lines.map(line, line.No))", 3),
        ("abs(1000 - invoice.Amount)", 500),
        ("round(2.345, 2)", 2.35),
        ("max(1, invoice.Amount)", 1500),
        ("min([3, 2])", 2),
        ("invoice.Note == null", True),
        ("has(invoice.Missing) && invoice.Missing == 1", False),
        ("lower(invoice.InvoiceNumber) + '-x'", "civ-1-x"),
        ("invoice.InvoiceNumber.startsWith('CIV')", True),
        ("'line ' + string(invoice.Lines[0].No)", "line 1"),
        ("substring(invoice.InvoiceNumber, 4)", "1"),
        ("first([]) == null", True),
        ("distinct(['a', 'b', 'a'])", ["a", "b"]),
        ("int(7.0) % 4", 3),
        ("timestamp('2026-11-03T10:00:00Z') - timestamp('2026-11-01T10:00:00Z') == duration('48h')", True),
    ],
)
def test_an_expression_gives_its_value(source, expected):
    assert value(source, invoice=INVOICE) == expected


def test_whole_numbers_stay_whole_where_nothing_is_calculated():
    result = value("invoice.Lines[0].No", invoice=INVOICE)

    assert isinstance(result, int)


def test_an_amount_means_the_same_whether_it_was_sent_whole_or_with_cents():
    whole = value("invoice.Amount / 1000 > 1.2", invoice={"Amount": 1500})
    cents = value("invoice.Amount / 1000 > 1.2", invoice={"Amount": 1500.0})

    assert whole is cents is True


def test_decimals_and_times_can_be_compared():
    variables = {"amount": Decimal("10.50"), "at": datetime(2026, 11, 3, tzinfo=UTC), "day": date(2026, 11, 3)}

    result = value("amount > 10.25 && at > timestamp('2026-01-01T00:00:00Z') && day == '2026-11-03'", **variables)

    assert result is True


def test_a_time_without_a_zone_counts_as_utc():
    result = value("at", at=datetime(2026, 11, 3, 10))  # noqa: DTZ001 - that is the case at hand

    assert result == datetime(2026, 11, 3, 10, tzinfo=UTC)


def test_a_number_too_long_for_a_double_keeps_every_digit():
    result = value("id + 0 == id || id == 9007199254740993", id=9007199254740993)

    assert result is True


def test_only_outer_names_count_as_references():
    expression = compile_expression("invoice.Lines.exists(line, line.No == order.No) && incident.amount > 1")

    assert expression.references() == {"invoice", "order", "incident"}


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("", (1, 1), "needed"),
        ("   ", (1, 1), "needed"),
        ("a +\n\n  == 2", (3, 3), "Syntax error"),
        ("a ==\n frobnicate(1)", (2, 2), "no function frobnicate"),
        ("a.b.reduce(1)", (1, 5), "no function reduce"),
        ("'" + "x" * MAX_SOURCE + "'", (1, 1), "at most 2000 characters"),
        ("l.map(a, l.map(b, l.map(c, 1)))", (1, 21), "At most 2 macros"),
        ("(" * 60 + "1" + ")" * 60, (1, 41), "nested deeper"),
        ("9223372036854775808", (1, 1), "invalid int literal"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(source, place, message):
    with pytest.raises(BadExpression, match=message) as refused:
        compile_expression(source)

    assert (refused.value.line, refused.value.column) == place
    assert str(refused.value).startswith(f"{place[0]}:{place[1]}: ")


def test_macros_hidden_behind_quotes_spaces_and_remarks_are_still_counted():
    hidden = "l // a remark\n . map (a, r'\\' != 'l.map(' && l . all (b, l.exists(c, c == 1)))"

    with pytest.raises(BadExpression, match="At most 2 macros"):
        compile_expression(hidden)


def test_the_word_map_inside_a_text_is_no_macro():
    result = value("x == 'a.map(b).map(c).map(d)'", x="a.map(b).map(c).map(d)")

    assert result is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("invoice.Missing == 1", "no field Missing"),
        ("invoice.Note.Deep == 1", "does not fit"),
        ("invoice.Note > 1", "does not fit"),
        ("invoice.Lines[9].No", "out of bounds"),
        ("other.Amount", "other is not known here"),
        ("int('x')", "invalid digit"),
        ("sum(['a'])", "only numbers"),
        ("1 + 'a'", "operation"),
    ],
)
def test_what_cannot_be_evaluated_fails_with_a_reason(source, message):
    with pytest.raises(ExpressionFailed, match=message):
        value(source, invoice=INVOICE)


def test_a_yes_or_no_is_asked_for_where_one_is_needed():
    with pytest.raises(ExpressionFailed, match="neither true nor false"):
        compile_expression("invoice.Amount").holds({"invoice": INVOICE})


def test_a_list_too_long_to_look_through_is_refused():
    with pytest.raises(ExpressionFailed, match="more than 1000"):
        value("size(rows)", rows=[1] * (MAX_LIST + 1))


def test_values_that_json_does_not_know_are_refused():
    with pytest.raises(ExpressionFailed, match="type set"):
        value("x == 1", x={1, 2})


def test_absurd_depth_is_refused_and_does_not_crash():
    deep: dict = {}
    for _ in range(500):
        deep = {"a": deep}

    with pytest.raises(ExpressionFailed, match="nested deeper"):
        value("x == 1", x=deep)


def test_nothing_of_python_is_reachable():
    with pytest.raises(ExpressionFailed, match="no field __class__"):
        value("invoice.__class__", invoice={})


def test_the_same_text_is_compiled_once():
    assert compile_expression("a.b == 1") is compile_expression("a.b == 1")


def test_an_expression_can_be_used_by_many_threads_at_once():
    expression, results = compile_expression("n * 2 + 1"), []
    threads = [Thread(target=lambda n=n: results.append((n, expression.evaluate({"n": n})))) for n in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [(n, n * 2 + 1) for n in range(20)]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Invoice {invoice.InvoiceNumber} over {invoice.Total}", "Invoice CIV-1 over 1234.50"),
        ("line {invoice.Lines.1.No}", "line 2"),
        ("{nobody.knows} and {invoice.Missing}", "? and ?"),
        ("{invoice.Tags}", "a, b"),
        ("{invoice.Paid}", "yes"),
        ("{ spaced } {} {1}", "{ spaced } {} {1}"),
        ("{invoice.Lines.9.No}", "?"),
    ],
)
def test_a_text_is_filled_from_the_evidence(template, expected):
    lines = [{"No": 1}, {"No": 2}]
    invoice = {"InvoiceNumber": "CIV-1", "Total": 1234.5, "Lines": lines, "Tags": ["a", "b"], "Paid": True}

    assert render(template, {"invoice": invoice}) == expected


def test_what_stands_in_a_value_is_never_filled_again():
    result = render("{signal.text}", {"signal": {"text": "{secret.key}"}, "secret": {"key": "hidden"}})

    assert result == "{secret.key}"


def test_the_names_in_a_text_can_be_listed():
    assert list(slots("{a.b} x {c}")) == ["a", "c"]


@pytest.mark.parametrize(
    ("given", "expected"), [(0.1 + 0.2, "0.30"), (2.675, "2.68"), (3, "3.00"), ("1234.5", "1234.50"), (-0.005, "-0.01")]
)
def test_a_double_becomes_cents(given, expected):
    assert number(given) == Decimal(expected)


@pytest.mark.parametrize("given", ["abc", None, True, float("nan"), float("inf")])
def test_what_is_no_amount_is_refused(given):
    with pytest.raises(ExpressionFailed, match="is no amount"):
        number(given)


def test_importing_the_module_does_not_load_the_engine():
    script = "import sys, incidents.expressions; print('cel' in sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "False"


# --- numbers that are none -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "source",
    [
        "a / b",
        "a / b > 5.0",
        "5 / (b - b) < 1.0",
        "a / -b == 0.0",
        "[a / b].size() == 1",
        "rows.map(r, a / r.n)",
        "a / rows[0].n > 0.0",
        "a / size(none)",
        "a / double(text_zero)",
        "1 / abs(b)",
        "round(a / b, 2)",
    ],
)
def test_a_division_by_zero_is_a_failure_with_its_reason_and_never_a_number(source):
    values = {"a": 3, "b": 0, "rows": [{"n": 0}], "none": [], "text_zero": "0"}

    with pytest.raises(ExpressionFailed, match="it divides by zero"):
        compile_expression(source).evaluate({name: values[name] for name in compile_expression(source).references()})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("a / b / c", 2.0),
        ("a / (b + c)", 2.4),
        ("a / b * c", 18.0),
        ("a / rows[1].n.m", 3.0),
        ("a / -b", -6.0),
        ("b != 0.0 ? a / b : 0.0", 6.0),
        ("zero == 0.0 ? 0.0 : a / zero", 0.0),
        ("a / double('4') + 1", 4.0),
        ("'a / b' + string(a / b)", "a / b6"),
        ("a / b // half", 6.0),
    ],
)
def test_a_sound_division_is_what_it_was(source, value):
    values = {"a": 12, "b": 2, "c": 3, "zero": 0, "rows": [{}, {"n": {"m": 4}}]}

    assert compile_expression(source).evaluate(values) == value


@pytest.mark.parametrize("source", ["double(text) > 5.0", "double(text)", "1e308 * 10.0", "[1e308 * 10.0]", "x > 1.0"])
def test_an_infinite_number_is_a_failure_too(source):
    with pytest.raises(ExpressionFailed, match="not finite"):
        compile_expression(source).evaluate({"text": "inf", "x": float("nan")})
