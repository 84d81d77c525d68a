"""The one writer of the entity graph: what evidence says, and what people decide where two records disagree.

Only declared fields of records that were read name entities; no text is searched for numbers. Nothing is ever
renamed or joined by itself: a name that two entities claim leads nowhere until a person has decided.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from audit.access import has_role
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, LostRace, NotAllowed
from incidents.briefs import note
from incidents.entity_models import Alias, AliasDecision, Entity, Link, Mention
from incidents.fingerprints import NoFingerprint, fingerprint
from incidents.kinds import KindDefinition, Naming
from incidents.models import Evidence, Incident

State = Alias.State
DECIDERS = ("operator", "automation_admin")
_LONGEST = 200


@dataclass(frozen=True)
class _Claim:
    """One record's word on which entity it is, what it calls it, and which others it names."""

    type: str
    key: str
    label: str
    row: Evidence
    names: dict[str, tuple[str, str]]  # as compared: (as written, the field it stands in)
    others: list[tuple[str, str, str, str]] = field(default_factory=list)  # (type, key, label, field)


def learn(incident: Incident, rows: Iterable[Evidence], definition: KindDefinition, *, unit: str) -> None:
    """Take from freshly stored evidence which entities it speaks of. Call inside the transaction that stores it."""
    claims = sorted(_claims(rows, definition), key=lambda claim: (claim.type, claim.key, claim.row.pk))
    if not claims:
        return
    with transaction.atomic():
        now = db_now()
        known = _aliases_of(claims, unit)
        entities = _entities(claims, known, unit, now)
        _learn_names(incident, claims, entities, unit, now)
        _learn_links(claims, entities, now)
        spoken = {entity.pk for entity in entities.values()}
        mentions = [Mention(entity_id=pk, incident=incident) for pk in sorted(spoken)]
        Mention.objects.bulk_create(mentions, ignore_conflicts=True)


def _claims(rows: Iterable[Evidence], definition: KindDefinition) -> Iterator[_Claim]:
    namings: dict[str, list[Naming]] = {}
    for naming in definition.entities:
        namings.setdefault(naming.record, []).append(naming)
    for row in rows:
        for naming in namings.get(row.name, []) if row.record_id else []:
            own = named(naming.type, row.content.get(naming.key))
            if own is None:
                continue
            names: dict[str, tuple[str, str]] = {}
            for name, value in (("", row.record_id), *((name, row.content.get(name)) for name in naming.fields)):
                other = named(naming.type, value)
                if other is not None:
                    names.setdefault(other[0], (other[1], name))
            others = [
                (type_, *found, name)
                for type_, name in naming.names.items()
                if (found := named(type_, row.content.get(name))) is not None
            ]
            yield _Claim(naming.type, *own, row, names, others)


def named(type_: str, value: Any) -> tuple[str, str] | None:
    """Return a key as it is compared and as it was written; ``None`` where the value names nobody."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    try:
        # What may not make a fingerprint may not make an entity either.
        key: str = fingerprint("entity", type_, text, {}).parts["entity_key"]
    except NoFingerprint:
        return None
    return (key, text) if len(key) <= _LONGEST and len(text) <= _LONGEST else None


def _aliases_of(claims: list[_Claim], unit: str) -> dict[tuple[str, str], Entity]:
    """Return what the keys that these records give to others are known to mean."""
    keys = {key for claim in claims for _, key, _, _ in claim.others}
    rows = Alias.objects.filter(resolves=True, business_unit=unit, name__in=keys).select_related("entity")
    found: dict[tuple[str, str], set[Entity]] = {}
    for row in rows if keys else ():
        found.setdefault((row.type, row.name), set()).add(row.entity)
    return {name: entities.pop() for name, entities in found.items() if len(entities) == 1}


Entities = dict[tuple[str, str], Entity]


def _entities(claims: list[_Claim], known: Entities, unit: str, now: datetime) -> Entities:
    wanted: dict[tuple[str, str], str] = {}
    for claim in claims:
        wanted.setdefault((claim.type, claim.key), claim.label)
    for claim in claims:
        for type_, key, label, _ in claim.others:
            if (type_, key) not in known:
                wanted.setdefault((type_, key), label)
    rows = [
        Entity(type=type_, key=key, label=label, business_unit=unit, first_seen_at=now)
        for (type_, key), label in sorted(wanted.items())
    ]
    Entity.objects.bulk_create(rows, ignore_conflicts=True)
    found = Entity.objects.filter(business_unit=unit, key__in={key for _, key in wanted})
    return {**known, **{(row.type, row.key): row for row in found if (row.type, row.key) in wanted}}


def _learn_names(incident: Incident, claims: list[_Claim], entities: Entities, unit: str, now: datetime) -> None:
    wanted: dict[tuple[int, str, str, str], Alias] = {}
    for claim in claims:
        entity = entities[claim.type, claim.key]
        for name, (value, field_) in sorted(claim.names.items()):
            alias = Alias(
                entity=entity, type=claim.type, business_unit=unit, system=claim.row.system,
                record_type=claim.row.entity, field=field_, value=value, name=name, evidence=claim.row,
                learned_at=now, resolves=name != entity.key,
            )  # fmt: skip
            wanted.setdefault(_identity(alias), alias)
    spoken = {name for _, _, _, name in wanted} | {key for _, key in entities}
    same = Q(business_unit=unit, type__in={claim.type for claim in claims} | {type_ for type_, _ in entities})
    standing = list(Alias.objects.filter(same, name__in=spoken).select_related("entity"))
    there = {_identity(alias) for alias in standing}
    fresh = [alias for identity, alias in wanted.items() if identity not in there]
    owners: dict[tuple[str, str], int] = {}
    if fresh or any(alias.resolves for alias in standing):
        owners = {(row.type, row.key): row.pk for row in Entity.objects.filter(same, key__in=spoken)}
    claimed = {(alias.type, *_identity(alias)[1:]) for alias in standing}
    for alias in fresh:
        taken = (alias.type, *_identity(alias)[1:]) in claimed
        if taken or owners.get((alias.type, alias.name), alias.entity_id) != alias.entity_id:
            alias.state, alias.resolves = State.DISPUTED, False
    Alias.objects.bulk_create(fresh, ignore_conflicts=True)
    _dispute(incident, fresh, standing, owners)


def _dispute(incident: Incident, fresh: list[Alias], standing: list[Alias], owners: dict[tuple[str, str], int]) -> None:
    """Keep the claims that the database refused, and let every name that two entities claim lead nowhere."""
    if fresh:
        kept = Alias.objects.filter(name__in={alias.name for alias in fresh})
        there = {_identity(alias) for alias in kept}
        refused = [alias for alias in fresh if _identity(alias) not in there]
        for alias in refused:
            alias.state, alias.resolves, alias.pk = State.DISPUTED, False, None
        Alias.objects.bulk_create(refused, ignore_conflicts=True)
    # An entity that came to be under a name by which another one was known.
    overtaken = [
        alias
        for alias in standing
        if alias.resolves and owners.get((alias.type, alias.name), alias.entity_id) != alias.entity_id
    ]
    for alias in overtaken:
        Alias.objects.filter(pk=alias.pk, resolves=True).update(state=State.DISPUTED, resolves=False)
    for alias in [*(one for one in fresh if one.state == State.DISPUTED), *overtaken]:
        claims_on(alias).update(resolves=False)
        data = {"system": alias.system, "record_type": alias.record_type, "value": alias.value}
        note(incident, "alias.disputed", actor="system:entities", data={**data, "entity": str(alias.entity)})


def _identity(alias: Alias) -> tuple[int, str, str, str]:
    return alias.entity_id, alias.system, alias.record_type, alias.name


def claims_on(alias: Alias) -> Any:
    """Return every claim on the name that ``alias`` claims: the same record of the same system, in the same unit."""
    return Alias.objects.filter(
        type=alias.type,
        business_unit=alias.business_unit,
        system=alias.system,
        record_type=alias.record_type,
        name=alias.name,
    )


def _learn_links(claims: list[_Claim], entities: Entities, now: datetime) -> None:
    wanted: dict[tuple[int, int, str], Link] = {}
    for claim in claims:
        source = entities[claim.type, claim.key]
        for type_, key, _, field_ in claim.others:
            target = entities[type_, key]
            if target.pk != source.pk:
                link = Link(source=source, target=target, field=field_, evidence=claim.row, learned_at=now)
                wanted.setdefault((source.pk, target.pk, field_), link)
    Link.objects.bulk_create([wanted[identity] for identity in sorted(wanted)], ignore_conflicts=True)


# --- what people decide ----------------------------------------------------------------------------


def decide(alias: Alias, incident: Incident, *, holds: bool, by: User, reason: str) -> AliasDecision:
    """Say whether a disputed name is that of ``alias.entity``; if it is, every other claim on it is rejected.

    What was rejected stays so when another record says it again. Raises ``NotAllowed``, ``Invalid`` without a reason,
    and ``IllegalMove`` where nobody disputes the name any more.
    """
    _may_decide(by, reason)
    with transaction.atomic():
        claims = {row.pk: row for row in claims_on(alias).select_for_update().order_by("pk")}
        if not any(row.state == State.DISPUTED for row in claims.values()):
            raise IllegalMove(f"Nobody disputes any more what {alias.value} is.")
        before = {str(pk): str(row.state) for pk, row in claims.items()}
        # First the losers: the database lets one claim on a name stand.
        losers = claims_on(alias).exclude(pk=alias.pk) if holds else claims_on(alias).filter(pk=alias.pk)
        losers.update(state=State.REJECTED, resolves=False)
        if holds:
            claims_on(alias).filter(pk=alias.pk).update(state=State.STANDING)
        _let_lead(alias)
        done = AliasDecision.objects.create(
            alias=alias, before=before, actor=by.get_username(), reason=reason, decided_at=db_now()
        )
        _note(incident, "alias.confirmed" if holds else "alias.rejected", done, by, reason)
    return done


def _let_lead(alias: Alias) -> None:
    """Let the claim that stands lead signals to its entity, once no other claim on the name is open."""
    if not claims_on(alias).filter(state=State.DISPUTED).exists():
        standing = claims_on(alias).filter(state=State.STANDING)
        standing.exclude(entity__key=alias.name).update(resolves=True)


def revert(decision: AliasDecision, incident: Incident, *, by: User, reason: str) -> AliasDecision:
    """Take a decision back: the claims stand against each other again as before, and the name leads nowhere.

    Raises ``NotAllowed``, ``Invalid`` without a reason, and ``LostRace`` where it is not the decision that stands.
    """
    _may_decide(by, reason)
    with transaction.atomic():
        claims = {row.pk: row for row in claims_on(decision.alias).select_for_update().order_by("pk")}
        newest = AliasDecision.objects.filter(alias__in=claims, reverted_at=None).first()
        if newest is None or newest.pk != decision.pk:
            raise LostRace("This decision does not stand any more.")
        AliasDecision.objects.filter(pk=decision.pk).update(reverted_at=db_now())
        claims_on(decision.alias).update(state=State.DISPUTED, resolves=False)
        for pk, state in decision.before.items():
            Alias.objects.filter(pk=int(pk)).update(state=state)
        _note(incident, "alias.reverted", decision, by, reason)
    decision.refresh_from_db()
    return decision


def _may_decide(by: User, reason: str) -> None:
    if not has_role(by, *DECIDERS):
        raise NotAllowed(f"Deciding what a record is takes the role {' or '.join(DECIDERS)}.")
    if not reason.strip():
        raise Invalid("Say why.", {"reason": ["Say which record convinced you."]})


def _note(incident: Incident, verb: str, decision: AliasDecision, by: User, reason: str) -> None:
    alias = decision.alias
    data = {"decision": decision.pk, "system": alias.system, "value": alias.value, "entity": str(alias.entity)}
    note(incident, verb, actor=by.get_username(), reason=reason, data=data)
