"""The nouns of the entity graph: which business entity each system's record speaks of, and under which name."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Entity(models.Model):
    """One order, invoice, account or case of one business unit, whatever each system calls it."""

    type = models.CharField(max_length=60)
    key = models.CharField(max_length=200)  # as it is compared; numbers repeat between units, not within one
    label = models.CharField(max_length=200)  # as the first record wrote it
    business_unit = models.CharField(max_length=40, blank=True)
    first_seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "entities"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["type", "key", "business_unit"], name="one_entity_per_key_and_unit")
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.label}"


class Alias(models.Model):
    """What one system calls an entity, and the record that said so."""

    class State(models.TextChoices):
        """Whether the name counts."""

        STANDING = "standing"
        DISPUTED = "disputed"  # two entities claim it; a person decides
        REJECTED = "rejected"  # a person said that it is not this entity's

    entity = models.ForeignKey(Entity, on_delete=models.PROTECT, related_name="aliases")
    # As the entity has them, so that the database can refuse a name that stands for two.
    type = models.CharField(max_length=60)
    business_unit = models.CharField(max_length=40, blank=True)
    system = models.CharField(max_length=300)
    record_type = models.CharField(max_length=200)
    field = models.CharField(max_length=100, blank=True)  # blank: the id of the record itself
    value = models.CharField(max_length=200)  # as the system writes it
    name = models.CharField(max_length=200)  # as it is compared
    evidence = models.ForeignKey("incidents.Evidence", on_delete=models.PROTECT, related_name="aliases")
    learned_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.STANDING)
    # It leads a signal that uses it to the entity: it stands, nobody disputes it, and it differs from the key.
    resolves = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "aliases"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entity", "system", "record_type", "name"], name="one_alias_per_entity"),
            models.UniqueConstraint(
                fields=["type", "business_unit", "system", "record_type", "name"],
                condition=Q(state="standing"),
                name="one_entity_per_standing_alias",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["name"], name="alias_by_name"),
            models.Index(fields=["type", "name"], name="alias_that_resolves", condition=Q(resolves=True)),
        ]

    def __str__(self) -> str:
        return f"{self.system} {self.value}"


class Link(models.Model):
    """One entity's record names another entity: which field of which record said so."""

    source = models.ForeignKey(Entity, on_delete=models.PROTECT, related_name="links")
    target = models.ForeignKey(Entity, on_delete=models.PROTECT, related_name="linked_from")
    field = models.CharField(max_length=100)
    evidence = models.ForeignKey("incidents.Evidence", on_delete=models.PROTECT, related_name="links")
    learned_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "target", "field"], name="one_link_per_pair_and_field")
        ]

    def __str__(self) -> str:
        return f"{self.source} names {self.target}"


class Mention(models.Model):
    """An incident whose evidence holds a record of the entity. Who may see the incident may see the entity."""

    entity = models.ForeignKey(Entity, on_delete=models.PROTECT, related_name="mentions")
    incident = models.ForeignKey("incidents.Incident", on_delete=models.CASCADE, related_name="mentions")

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entity", "incident"], name="one_mention_per_incident")
        ]

    def __str__(self) -> str:
        return f"{self.incident} speaks of {self.entity}"


class AliasDecision(models.Model):
    """A person said whose a disputed name is: enough to take the decision back exactly."""

    alias = models.ForeignKey(Alias, on_delete=models.PROTECT, related_name="decisions")  # the claim that was confirmed
    before = models.JSONField(default=dict)  # the state of each claim on the name, by its id
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    decided_at = models.DateTimeField()
    reverted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.alias} is {self.alias.entity}"
