"""What a name means that a signal uses for its entity: asked as a part of intake's one look, so it costs no query.

Only names that stand undisputed count, and only where no incident is open under the name itself, nor ended after
the signal's time: a name that is learned later rewrites no fingerprint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from incidents.fingerprints import Fingerprint, fingerprint
from incidents.normal import NormalSignal

# For each name that leads to an entity: its place in the question, the entity, what it is called, whose name it is,
# and whether an entity has that very name as its key.
_HITS = """(SELECT {list}({row}({place}, e.id, e.label, a.value, a.system, a.business_unit,
EXISTS (SELECT 1 FROM incidents_entity o WHERE o.type = a.type AND o.key = a.name
AND o.business_unit = a.business_unit)))
FROM {asked} JOIN incidents_alias a ON a.resolves AND a.type = q.value ->> 0 AND a.name = q.value ->> 1
JOIN incidents_entity e ON e.id = a.entity_id
WHERE NOT EXISTS (SELECT 1 FROM incidents_incident i WHERE i.fingerprint = q.value ->> 2
AND (i.closed_at IS NULL OR COALESCE(i.resolved_at, i.closed_at) >= {moment})))"""
HITS = {
    "postgresql": _HITS.format(
        list="json_agg",
        row="json_build_array",
        place="q.place - 1",
        asked="json_array_elements(%s::json) WITH ORDINALITY AS q(value, place)",
        moment="(q.value ->> 3)::timestamptz",
    ),
    "sqlite": _HITS.format(
        list="json_group_array",
        row="json_array",
        place="q.key",
        asked="json_each(%s) AS q",
        moment="q.value ->> 3",
    ),
}


@dataclass(frozen=True)
class Meaning:
    """The entity that a name leads to, and whose name it is."""

    entity: int
    label: str
    value: str
    system: str
    business_unit: str
    taken: bool  # another entity has this name as its key


def question(print_: Fingerprint, time: datetime) -> list[str]:
    """Return what ``HITS`` wants to know of one signal."""
    parts = print_.parts
    moment = str(connection.ops.adapt_datetimefield_value(time))
    return [parts["entity_type"], parts["entity_key"], print_.value, moment]


def meanings(found: Sequence[Sequence[Any]], signals: Sequence[NormalSignal]) -> dict[int, Meaning]:
    """Return, by the place of the signal, what its name means; a name that could mean two entities means none.

    A name counts within the signal's business unit. The name's own system is believed first; a key of another
    entity counts more than the name that a third system uses.
    """
    hits: dict[int, list[Meaning]] = {}
    for place, entity, label, value, system, unit, taken in found:
        hits.setdefault(int(place), []).append(Meaning(entity, label, value, system, unit, bool(taken)))
    chosen: dict[int, Meaning] = {}
    for place, some in hits.items():
        signal = signals[place]
        fits = [one for one in some if signal.business_unit in ("", one.business_unit)]
        own = [one for one in fits if one.system == signal.source]
        fits = own or [one for one in fits if not one.taken]
        if len({one.entity for one in fits}) == 1:
            chosen[place] = fits[0]
    return chosen


def under(meaning: Meaning, given: NormalSignal, print_: Fingerprint) -> tuple[NormalSignal, Fingerprint]:
    """Return a signal under its entity's own key, with a fingerprint that says by which name it was known."""
    parts = print_.parts
    named = given.model_copy(update={"entity_key": meaning.label})
    attributes = parts["attributes"]
    same = fingerprint(parts["kind"], parts["entity_type"], meaning.label, attributes, attributes)
    said = f"{given.entity_type} {meaning.label} is known as {meaning.value} in {meaning.system}"
    return named, Fingerprint(same.value, {**same.parts, "known_as": said})
