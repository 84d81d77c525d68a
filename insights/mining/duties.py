"""Segregation of duties: cases in which one person did what two should have done."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import Refusal
from insights.mining.asking import Scope, ask, names, number
from insights.mining.attributes import column, held
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.references import check_duties
from insights.mining.scoping import scope
from insights.models import EventLog

MOST_EXAMPLES = 200
# Pairs that nearly always are two people are worth a rule; so many cases must speak for it.
_USUALLY_APART = 0.95
_MIN_CASES = 20
_RESOURCES = ("org:resource", "resource", "user", "performer", "employee")


class NoResource(Refusal):
    """The log does not tell who did what."""

    code = "no_resource"


@dataclass(frozen=True)
class Breach:
    """One case in which one person did both."""

    case: str
    person: str


@dataclass(frozen=True)
class Duty:
    """A rule held against the cases. Where both activities are the same, four eyes: two people must have done it.

    ``cases``: those in which it could be broken; ``broken``: those in which it was; the first are listed.
    """

    first: str
    second: str
    cases: int
    broken: int
    breaches: tuple[Breach, ...]


@dataclass(frozen=True)
class Suggested:
    """Two activities that nearly always are done by two people, and sometimes are not."""

    first: str
    second: str
    cases: int
    together: int


@dataclass(frozen=True)
class Duties:
    """What became of each rule, most breaches first; ``suggested`` are rules that nobody has made yet."""

    resource: str
    results: tuple[Duty, ...]
    suggested: tuple[Suggested, ...]


def resource_of(log: EventLog) -> str:
    """Return the attribute that tells who did an event. Raises ``NoResource``."""
    texts = {one.name for one in held(log, "event", "text")}
    mapped = str(log.mapping.get("resource") or "")
    if mapped in texts:
        return mapped
    for wanted in _RESOURCES:
        for name in sorted(texts):
            if name.lower() == wanted:
                return name
    raise NoResource("This log does not tell who did what. Import it again and name the column of the resource.")


def duties(log: EventLog, filter: Filter = EVERYTHING, *, pairs: Sequence[Sequence[str]] = ()) -> Duties:
    """Hold the cases that ``filter`` leaves against ``pairs`` of activities that one person must not both do."""
    chosen = scope(log, filter)
    resource = resource_of(log)
    where = column(log, resource)[0]
    known = names(log).numbers
    asked = check_duties(pairs)
    found = [_held(log, chosen, where, pair, known) for pair in asked]
    found.sort(key=lambda one: (-one.broken, one.first, one.second))
    return Duties(resource, tuple(found), _suggested(log, chosen, where, set(asked)))


def _done(where: str) -> str:
    told = f"{where} IS NOT NULL AND {where} <> ''"
    return f"SELECT DISTINCT case_no, activity, {where} AS person FROM happened WHERE {told}"


def _held(log: EventLog, chosen: Scope, where: str, pair: tuple[str, str], known: dict[str, int]) -> Duty:
    first, second = pair
    if first not in known or second not in known:
        return Duty(first, second, 0, 0, ())
    if first == second:
        return _four_eyes(log, chosen, where, first)
    possible = ask(
        log,
        chosen,
        "SELECT count(DISTINCT x.case_no) FROM done x JOIN done y ON y.case_no = x.case_no"
        " WHERE x.activity = ? AND y.activity = ?",
        (known[first], known[second]),
        done=_done(where),
    )
    rows = ask(
        log,
        chosen,
        "SELECT c.case_id, min(x.person) FROM done x JOIN done y ON y.case_no = x.case_no AND y.person = x.person"
        " JOIN chosen c ON c.case_no = x.case_no WHERE x.activity = ? AND y.activity = ?"
        " GROUP BY c.case_id ORDER BY c.case_id",
        (known[first], known[second]),
        done=_done(where),
    )
    return _duty(pair, number(possible[0][0]), rows)


def _four_eyes(log: EventLog, chosen: Scope, where: str, name: str) -> Duty:
    done = names(log).numbers[name]
    possible = ask(
        log, chosen, "SELECT count(DISTINCT case_no) FROM done WHERE activity = ?", (done,), done=_done(where)
    )
    rows = ask(
        log,
        chosen,
        "SELECT c.case_id, min(x.person) FROM done x JOIN chosen c ON c.case_no = x.case_no WHERE x.activity = ?"
        " GROUP BY c.case_id HAVING count(*) = 1 ORDER BY c.case_id",
        (done,),
        done=_done(where),
    )
    return _duty((name, name), number(possible[0][0]), rows)


def _duty(pair: tuple[str, str], possible: int, rows: Sequence[Sequence[object]]) -> Duty:
    breaches = tuple(Breach(str(case), str(person)) for case, person in rows[:MOST_EXAMPLES])
    return Duty(pair[0], pair[1], possible, len(rows), breaches)


def _suggested(log: EventLog, chosen: Scope, where: str, asked: set[tuple[str, str]]) -> tuple[Suggested, ...]:
    known = names(log)
    rows = ask(
        log,
        chosen,
        "SELECT activity, other, count(*), sum(same) FROM together GROUP BY activity, other"
        f" HAVING count(*) >= {_MIN_CASES} AND sum(same) > 0 AND sum(same) <= {1 - _USUALLY_APART:.2f} * count(*)",
        done=_done(where),
        frequent="SELECT activity FROM happened GROUP BY activity ORDER BY count(*) DESC, activity LIMIT 30",
        together=(
            "SELECT x.case_no, x.activity, y.activity AS other,"
            " max(CASE WHEN x.person = y.person THEN 1 ELSE 0 END) AS same"
            " FROM done x JOIN done y ON y.case_no = x.case_no AND y.activity > x.activity"
            " WHERE x.activity IN (SELECT activity FROM frequent) AND y.activity IN (SELECT activity FROM frequent)"
            " GROUP BY x.case_no, x.activity, y.activity"
        ),
    )
    found = []
    for one, other, cases, together in rows:
        first, second = sorted((known[one], known[other]))
        if (first, second) not in asked:
            found.append(Suggested(first, second, number(cases), number(together)))
    found.sort(key=lambda one: (one.together / one.cases, -one.cases, one.first, one.second))
    return tuple(found[:20])
