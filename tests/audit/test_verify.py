"""Walking the ledger: an untouched one holds, and every tampering is found, with its kind and place."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import ledger, triggers
from audit.actions import entry_hash
from audit.models import Entry, Head
from tests.audit.factories import make_entries, make_entry

pytestmark = pytest.mark.django_db
LENGTH = 16


@pytest.fixture
def chain() -> Iterator[list[Entry]]:
    """A chain that a person with the database's own password may tamper with."""
    entries = make_entries(LENGTH)
    with triggers.lifted(connection):
        yield entries


def row(n: int) -> Any:
    return Entry.objects.filter(n=n)


def rehashed(n: int, **changes: Any) -> None:
    """Change an entry and give it the hash that fits, as a careful intruder would."""
    entry = Entry.objects.get(n=n)
    for name, value in changes.items():
        setattr(entry, name, value)
    entry.hash = entry_hash(entry)
    entry.save()


def test_an_untouched_ledger_holds():
    entries = make_entries(LENGTH)

    report = ledger.verify()

    assert report == ledger.Report(LENGTH, LENGTH, entries[-1].hash)


def test_an_empty_ledger_holds():
    assert ledger.verify() == ledger.Report(0, 0, ledger.GENESIS)


@pytest.mark.parametrize("chunk", [1, 2, 7, LENGTH, LENGTH + 1])
def test_the_walk_is_the_same_in_chunks_of_any_size(chunk):
    entries = make_entries(LENGTH)

    assert ledger.verify(chunk=chunk) == ledger.Report(LENGTH, LENGTH, entries[-1].hash)


CHANGES: dict[str, Any] = {
    "actor": "somebody else",
    "verb": "incident.closed",
    "target_type": "incidents.incident",
    "target_id": "INC-2",
    "incident_id": 4711,
    "business_unit": "US",
    "region": "US-EAST",
    "reason": "another",
    "body": '{"after":{"status":"resolved"}}',
    "channel": "task",
    "request_id": "r2",
    "address": "10.0.0.9",
    "token": "gs_other",
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_column_is_found(chain, column):
    row(7).update(**{column: CHANGES[column]})

    broken = ledger.verify().broken

    assert broken is not None
    assert (broken.n, broken.what) == (7, "changed")


def test_a_changed_time_is_found(chain):
    entry = Entry.objects.get(n=9)
    row(9).update(at=entry.at.replace(year=2020))

    assert ledger.verify().broken == ledger.Broken(9, "changed", "Entry 9 was changed after it was written.")


def test_a_missing_entry_is_found(chain):
    row(5).delete()

    assert ledger.verify().broken == ledger.Broken(5, "missing", "Entry 5 is missing: after 4 comes 6.")


def test_a_cut_end_is_found(chain):
    Entry.objects.filter(n__gt=LENGTH - 3).delete()

    broken = ledger.verify().broken

    assert broken is not None
    assert (broken.n, broken.what) == (LENGTH - 2, "cut")


def test_a_ledger_that_was_emptied_is_found(chain):
    Entry.objects.all().delete()

    broken = ledger.verify().broken

    assert broken is not None
    assert (broken.n, broken.what) == (1, "cut")


def test_an_entry_with_a_fitting_hash_no_longer_fits_the_next(chain):
    rehashed(7, reason="another")

    broken = ledger.verify().broken

    assert broken is not None
    assert (broken.n, broken.what) == (8, "previous")


def test_a_last_entry_with_a_fitting_hash_no_longer_fits_the_end(chain):
    rehashed(LENGTH, reason="another")

    broken = ledger.verify().broken

    assert broken is not None
    assert (broken.n, broken.what) == (LENGTH, "head")


def test_an_entry_before_the_first_is_found(chain):
    Entry.objects.create(n=0, at=chain[0].at, actor="x", verb="x", previous_hash="0" * 64, hash="0" * 64)

    broken = ledger.verify().broken

    assert broken is not None
    assert broken.what == "number"


def test_an_entry_beyond_the_end_is_found(chain):
    Entry.objects.create(n=LENGTH + 1, at=chain[0].at, actor="x", verb="x", previous_hash="0" * 64, hash="0" * 64)

    broken = ledger.verify().broken

    assert broken is not None
    assert (broken.n, broken.what) == (LENGTH + 1, "head")


def test_a_missing_end_is_found(chain):
    Head.objects.all().delete()

    broken = ledger.verify().broken

    assert broken is not None
    assert broken.what == "head"


def test_a_ledger_rewritten_as_a_whole_is_found_by_a_hash_that_was_noted_outside(chain):
    noted = {12: chain[11].hash}
    previous = chain[8].hash
    for n in range(10, LENGTH + 1):
        rehashed(n, previous_hash=previous, **({"reason": "another"} if n == 10 else {}))
        previous = Entry.objects.get(n=n).hash
    Head.objects.update(hash=previous)

    assert ledger.verify().broken is None
    found = ledger.verify(anchors=noted).broken
    assert found is not None
    assert (found.n, found.what) == (12, "anchor")


def test_an_end_that_was_cut_together_with_its_mark_is_found_by_a_noted_number(chain):
    Entry.objects.filter(n__gt=13).delete()
    Head.objects.update(n=13, hash=chain[12].hash)

    assert ledger.verify().broken is None
    found = ledger.verify(anchors={LENGTH: chain[-1].hash}).broken
    assert found is not None
    assert (found.n, found.what) == (LENGTH, "cut")


# --- A thousand tamperings -----------------------------------------------------------------------
Tampering = Callable[[random.Random, int], None]


def change_a_column(dice: random.Random, n: int) -> None:
    column = dice.choice(list(CHANGES))
    old = Entry.objects.values_list(column, flat=True).get(n=n)
    other = (old or 0) + 1 if column == "incident_id" else f"x{dice.randrange(10**9)}"
    row(n).update(**{column: other})


def change_a_letter_of_the_body(dice: random.Random, n: int) -> None:
    body = Entry.objects.get(n=n).body
    place = dice.randrange(len(body))
    row(n).update(body=body[:place] + ("#" if body[place] != "#" else "%") + body[place + 1 :])


def move_the_time(dice: random.Random, n: int) -> None:
    at = Entry.objects.get(n=n).at
    row(n).update(at=at.replace(microsecond=(at.microsecond + dice.randint(1, 999_998)) % 1_000_000))


def remove_one(dice: random.Random, n: int) -> None:
    row(n).delete()


def cut_the_end(dice: random.Random, n: int) -> None:
    Entry.objects.filter(n__gte=n).delete()


def swap_two(dice: random.Random, n: int) -> None:
    other = dice.choice([number for number in range(1, LENGTH + 1) if number != n])
    row(n).update(n=-1)
    row(other).update(n=n)
    row(-1).update(n=other)


def break_a_hash(dice: random.Random, n: int) -> None:
    column = dice.choice(["hash", "previous_hash"])
    row(n).update(**{column: f"{dice.getrandbits(256):064x}"})


def change_and_rehash(dice: random.Random, n: int) -> None:
    rehashed(n, reason=f"rewritten {dice.random()}")


def renumber(dice: random.Random, n: int) -> None:
    Entry.objects.filter(n=n).update(n=LENGTH + dice.randint(1, 50))


def move_the_end(dice: random.Random, n: int) -> None:
    Head.objects.update(n=n - 1 if n % 2 else LENGTH + n)


def forge_the_end(dice: random.Random, n: int) -> None:
    Head.objects.update(hash=f"{dice.getrandbits(256):064x}")


def slip_one_in(dice: random.Random, n: int) -> None:
    entry = Entry.objects.get(n=n)
    entry.n = LENGTH + 1
    entry.previous_hash = Entry.objects.get(n=LENGTH).hash
    entry.hash = entry_hash(entry)
    entry.save(force_insert=True)


TAMPERINGS: list[Tampering] = [
    *(change_a_column, change_a_letter_of_the_body, move_the_time, remove_one, cut_the_end, swap_two),
    *(break_a_hash, change_and_rehash, renumber, move_the_end, forge_the_end, slip_one_in),
]


def test_of_a_thousand_tamperings_every_one_is_found(chain):
    dice = random.Random(20261122)
    missed = []
    for turn in range(1000):
        tamper, n = dice.choice(TAMPERINGS), dice.randint(1, LENGTH)
        with transaction.atomic():
            tamper(dice, n)
            if ledger.verify(chunk=10).broken is None:
                missed.append((turn, tamper.__name__, n))
            transaction.set_rollback(True)

    assert missed == []
    assert ledger.verify().broken is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.fixed_dictionaries(
        {
            "actor": st.text(min_size=1, max_size=30),
            "reason": st.text(max_size=60),
            "after": st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20) | st.none(), max_size=4),
            "incident": st.none() | st.integers(min_value=0, max_value=2**63 - 1),
        }
    )
)
def test_whatever_is_entered_reads_back_as_it_was_hashed(told):
    entry = make_entry("anything.said", **told)

    stored = Entry.objects.get(n=entry.n)

    assert entry_hash(stored) == stored.hash == entry.hash


# --- The command ---------------------------------------------------------------------------------
def test_the_command_says_that_the_ledger_holds_and_where_it_ends(capsys):
    last = make_entries(3)[-1]

    call_command("verify_audit")

    assert capsys.readouterr().out == f"The ledger holds: 3 entries. Its end: 3:{last.hash}\n"


def test_the_command_fails_and_names_the_first_broken_entry(chain, capsys):
    row(4).update(reason="another")
    row(9).delete()

    with pytest.raises(CommandError, match="BROKEN at entry 4: Entry 4 was changed") as failure:
        call_command("verify_audit")

    assert failure.value.returncode == 1
    assert "triggers are missing" in capsys.readouterr().err


def test_the_command_takes_noted_hashes():
    first = make_entries(2)[0]

    call_command("verify_audit", anchor=[f"1:{first.hash}"])

    with pytest.raises(CommandError, match="BROKEN at entry 1"):
        call_command("verify_audit", anchor=["1:" + "0" * 64])


def test_the_command_refuses_what_is_no_noted_hash():
    with pytest.raises(CommandError, match="NUMBER:HASH") as failure:
        call_command("verify_audit", anchor=["nonsense"])

    assert failure.value.returncode == 2
