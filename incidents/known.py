"""What is known of business entities, as far as a person may see the evidence that it rests on. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.cache import cache
from django.db.models import Exists, OuterRef, Q, QuerySet, Value

from connectors.models import Connection
from incidents.entity_models import Alias, AliasDecision, Entity, Link, Mention
from incidents.fingerprints import NoFingerprint, fingerprint, normal
from incidents.kinds import in_brief
from incidents.merging import kept_apart
from incidents.models import Incident

MOST_OTHERS = 5
FRESH_SECONDS = 30
# What the page shows of the rows that it joins; evidence holds whole records.
_OF_ALIASES = ("entity", "system", "record_type", "field", "value", "name", "state", "evidence__url")
_OF_OTHERS = ("entity", "incident__title", "incident__status")


def seen_by(user: Any) -> QuerySet[Entity]:
    """Return the entities that stand in the evidence of an incident which ``user`` may see."""
    return Entity.objects.filter(Exists(Mention.objects.filter(_visible(user, "incident"), entity=OuterRef("pk"))))


def _visible(user: Any, column: str) -> Exists:
    """Return the condition that ``user`` may see the incident that ``column`` points at.

    Asked row by row through the primary key: a list to be `in` would first be made of every incident that they may see.
    """
    return Exists(Incident.objects.visible_to(user).filter(pk=OuterRef(column)))


def system_labels() -> dict[str, str]:
    """Return what people call each connection, by its slug; a new name may take half a minute to appear."""
    return cache.get_or_set("connections:labels", _labels, FRESH_SECONDS) or {}


def _labels() -> dict[str, str]:
    return dict(Connection.objects.values_list("slug", "label"))


def aliases_for(user: Any, entities: Iterable[Entity]) -> QuerySet[Alias]:
    """Return what these entities are called, where ``user`` may see the record that said so."""
    rows = Alias.objects.filter(_visible(user, "evidence__incident"), entity__in=list(entities))
    return rows.select_related("entity", "evidence").order_by("pk")


def links_for(user: Any, entities: Iterable[Entity]) -> QuerySet[Link]:
    """Return the links from and to these entities, where ``user`` may see the record that said so."""
    among = list(entities)
    rows = Link.objects.filter(Q(source__in=among) | Q(target__in=among), _visible(user, "evidence__incident"))
    return rows.select_related("source", "target", "evidence").order_by("pk")


def incidents_of(user: Any, entities: Iterable[Entity]) -> QuerySet[Incident]:
    """Return the incidents that speak of these entities and that ``user`` may see, newest first."""
    spoken = Mention.objects.filter(entity__in=list(entities)).values("incident")
    return Incident.objects.visible_to(user).filter(pk__in=spoken).order_by("-pk")


def called(user: Any, *, name: str, system: str = "") -> QuerySet[Entity]:
    """Return the entities that ``user`` may see and that are known by ``name``, in one system or in any."""
    wanted = Q(name=normal(name), state=Alias.State.STANDING) & (Q(system=system) if system else Q())
    mine = Incident.objects.visible_to(user).values("pk")
    spoken = Alias.objects.filter(wanted, entity=OuterRef("pk"), evidence__incident__in=mine)
    same = Exists(spoken) if system else Exists(spoken) | Q(key=normal(name))
    return seen_by(user).filter(same).order_by("pk")


def speaking_of(text: str, user: Any) -> Q:
    """Return the condition that an incident's evidence speaks of the entity known by exactly this id or number.

    For search: it asks two indexes and reads no text. ``user`` is who searches.
    """
    mine = Incident.objects.visible_to(user).values("pk")
    names = Alias.objects.filter(name=normal(text), state=Alias.State.STANDING, evidence__incident__in=mine)
    spoken = Mention.objects.filter(entity__in=names.values("entity"))
    return Q(pk__in=spoken.values("incident")) | Q(entity_key__in=names.values("entity__label"))


@dataclass(frozen=True)
class Known:
    """One name of an entity as a page shows it."""

    alias: Alias
    decision: AliasDecision | None = None

    @property
    def url(self) -> str:
        """Where the system shows the record; "" where no address is known."""
        address = self.alias.evidence.url
        return address if address.startswith(("https://", "http://")) else ""


@dataclass
class Record:
    """One entity of an incident: what each system calls it, whom it names, and its other incidents."""

    entity: Entity
    subject: bool = False
    names: list[Known] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)  # what people call each connection
    disputed: list[Known] = field(default_factory=list)
    rejected: list[Known] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    others: list[Incident] = field(default_factory=list)

    @property
    def systems(self) -> list[tuple[str, list[Known]]]:
        """The names in each system; the entity's own number is left out where the system has another name for it."""
        known: dict[str, list[Known]] = {}
        for one in self.names:
            known.setdefault(one.alias.system, []).append(one)
        shown = []
        for system, names in known.items():
            others = [one for one in names if one.alias.name != self.entity.key]
            shown.append((self.labels.get(system, system), others or names[:1]))
        return shown

    @property
    def decided(self) -> list[Known]:
        """The names that a person has decided about."""
        return [one for one in (*self.names, *self.rejected) if one.decision is not None]


@dataclass
class Records:
    """What the page of an incident shows of its entities."""

    records: list[Record] = field(default_factory=list)
    offers: list[Incident] = field(default_factory=list)  # the same problem, opened under another name


def records_of(incident: Incident, user: Any) -> Records:
    """Return the entities in an incident's evidence, the one it is about first. Takes at most nine queries."""
    entities, subject = _entities_of(incident)
    entities.sort(key=lambda one: (subject is None or one.pk != subject.pk, one.pk))
    found = {one.pk: Record(one, subject is not None and one.pk == subject.pk) for one in entities}
    if found:
        _fill(found, incident, user)
    return Records(list(found.values()), offers_of(incident, subject, user) if subject else [])


def _fill(found: dict[int, Record], incident: Incident, user: Any) -> None:
    named = aliases_for(user, [record.entity for record in found.values()])
    aliases = named.select_related(None).select_related("evidence").only(*_OF_ALIASES)
    decisions = AliasDecision.objects.filter(alias__in=[one.pk for one in aliases], reverted_at=None)
    decided = {row.alias_id: row for row in decisions}
    labels = system_labels()
    for alias in aliases:
        known = Known(alias, decided.get(alias.pk))
        record = found[alias.entity_id]
        record.labels = labels
        {"standing": record.names, "disputed": record.disputed}.get(alias.state, record.rejected).append(known)
    # Only between these: a customer is named by every order.
    links = Link.objects.filter(_visible(user, "evidence__incident"), source__in=found, target__in=found)
    for link in links.select_related("target", "evidence").defer("evidence__content") if len(found) > 1 else ():
        found[link.source_id].links.append(link)
    spoken = Mention.objects.filter(_visible(user, "incident"), entity__in=found).exclude(incident=incident)
    for mention in spoken.select_related("incident").only(*_OF_OTHERS).order_by("-incident_id")[:200]:
        record = found[mention.entity_id]
        if len(record.others) < MOST_OTHERS:
            record.others.append(mention.incident)


def subject_of(incident: Incident) -> Entity | None:
    """Return the entity that an incident is about, also where the incident knows it by another name."""
    return _entities_of(incident)[1]


def _entities_of(incident: Incident) -> tuple[list[Entity], Entity | None]:
    """Return the entities in an incident's evidence and the one that it is about, all by one query."""
    kind, name, unit = normal(incident.entity_type), normal(incident.entity_key), incident.business_unit
    by_key = Q(type=kind, key=name, business_unit=unit)
    by_name = Q(aliases__type=kind, aliases__name=name, aliases__business_unit=unit, aliases__resolves=True)
    mentioned, keyed, named = (
        Entity.objects.filter(condition).annotate(how=Value(how)).order_by()
        for how, condition in (("mentioned", Q(mentions__incident=incident)), ("keyed", by_key), ("named", by_name))
    )
    found: dict[str, dict[int, Entity]] = {"mentioned": {}, "keyed": {}, "named": {}}
    for entity in mentioned.union(keyed, named):
        found[entity.how][entity.pk] = entity
    subjects = list((found["keyed"] or found["named"]).values())
    return list(found["mentioned"].values()), subjects[0] if len(subjects) == 1 else None


def offers_of(incident: Incident, subject: Entity, user: Any) -> list[Incident]:
    """Return the open incidents that are the same problem under another name of ``subject``, learned since.

    Nothing was renamed: a person merges them, or leaves them apart. What was taken apart before is not offered again.
    """
    if incident.closed_at is not None:
        return []
    spoken = Alias.objects.filter(entity=subject, state=Alias.State.STANDING).exclude(resolves=False, field="")
    names = {*spoken.values_list("value", flat=True), subject.label, incident.entity_key}
    rows = Incident.objects.visible_to(user).filter(
        closed_at=None, code=incident.code, business_unit=incident.business_unit, entity_key__in=names
    )
    others = list(rows.exclude(pk=incident.pk).order_by("pk")[:MOST_OTHERS])
    if not others:
        return []
    own = _print(incident, subject)
    return [one for one in others if own and _print(one, subject) == own and not kept_apart(incident, one)]


def _print(incident: Incident, subject: Entity) -> str:
    """Return the fingerprint that an incident would have under the entity's own key."""
    kind = in_brief({incident.code}).get(incident.code.casefold())
    chosen = kind.fingerprint if kind else ()
    try:
        return fingerprint(incident.code, subject.type, subject.key, incident.attributes, chosen).value
    except NoFingerprint:
        return ""
