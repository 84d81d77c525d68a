"""How judgements look to programs: how sure severity and domain are, and whom the queue chose."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from incidents.confidence import Confidence, confidences_of
from incidents.judgements import Decision, Offer
from incidents.models import Incident


class ConfidenceSerializer(serializers.Serializer[Any]):
    """How sure a decision is: the share of its like that people let stand."""

    value = serializers.FloatField(allow_null=True, help_text="0 to 1; null: not yet known, too few are over.")
    interval = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="The share's 95 % interval: low, high."
    )
    n = serializers.IntegerField(help_text="Decisions that are over, of the latest 2,000 of its like.")
    basis = serializers.CharField(help_text="What was counted, in words.")


class OfferSerializer(serializers.ModelSerializer[Offer]):
    """To whom it was given or suggested by skill and load, or why to nobody."""

    person = serializers.CharField(source="person.username", default=None, allow_null=True)

    class Meta:
        model = Offer
        fields: ClassVar = ["person", "assigned", "reason", "made_at"]


class Judged(serializers.Serializer[Any]):
    """The members that an incident has of judgements about it."""

    MEMBERS: ClassVar = ("severity_confidence", "domain_confidence", "offer")
    severity_confidence = serializers.SerializerMethodField()
    domain_confidence = serializers.SerializerMethodField()
    offer = serializers.SerializerMethodField()

    @extend_schema_field(ConfidenceSerializer())
    def get_severity_confidence(self, incident: Incident) -> dict[str, Any]:
        """How sure its severity is."""
        return dict(ConfidenceSerializer(self._sure(incident)[Decision.Subject.SEVERITY]).data)

    @extend_schema_field(ConfidenceSerializer())
    def get_domain_confidence(self, incident: Incident) -> dict[str, Any]:
        """How sure its domain is."""
        return dict(ConfidenceSerializer(self._sure(incident)[Decision.Subject.DOMAIN]).data)

    def _sure(self, incident: Incident) -> dict[str, Confidence]:
        if not hasattr(self, "_known"):  # one serializer, one incident
            self._known = confidences_of(incident)
        return self._known

    @extend_schema_field(OfferSerializer(allow_null=True))
    def get_offer(self, incident: Incident) -> dict[str, Any] | None:
        """Whom its queue chose."""
        made = Offer.objects.filter(incident=incident).select_related("person").first()
        return None if made is None else dict(OfferSerializer(made).data)
