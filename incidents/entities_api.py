"""Business entities for programs: what each system calls them, how they hang together, and what was decided."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import Asked
from audit.errors import IllegalMove, Invalid
from incidents import entities
from incidents.entity_models import Alias, AliasDecision, Entity, Link
from incidents.known import aliases_for, called, incidents_of, links_for, seen_by
from incidents.models import Incident
from incidents.serializers import REASON_LIMIT

MOST_INCIDENTS = 200


class EntitySerializer(serializers.ModelSerializer[Entity]):
    """One business entity."""

    class Meta:
        model = Entity
        fields: ClassVar = ["id", "type", "key", "label", "business_unit", "first_seen_at"]


class AliasSerializer(serializers.ModelSerializer[Alias]):
    """What one system calls it, and the record that said so. Without a field it is the record's own id."""

    incident = serializers.IntegerField(source="evidence.incident_id")
    url = serializers.CharField(source="evidence.url")

    class Meta:
        model = Alias
        fields: ClassVar = [
            *("id", "system", "record_type", "field", "value", "state", "evidence", "incident", "url", "learned_at")
        ]


class LinkSerializer(serializers.ModelSerializer[Link]):
    """One entity's record names another: which field of which evidence said so."""

    # DRF gives every field a source; in a link it is an entity.
    source = EntitySerializer()  # type: ignore[assignment]
    target = EntitySerializer()

    class Meta:
        model = Link
        fields: ClassVar = ["id", "source", "target", "field", "evidence", "learned_at"]


class SpokenSerializer(serializers.ModelSerializer[Incident]):
    """An incident that speaks of it."""

    class Meta:
        model = Incident
        fields: ClassVar = ["id", "code", "title", "status"]


class EntityDetailSerializer(EntitySerializer):
    """One business entity with everything that you may see of it."""

    aliases = serializers.SerializerMethodField()
    links = serializers.SerializerMethodField()
    incidents = serializers.SerializerMethodField()

    class Meta(EntitySerializer.Meta):
        fields: ClassVar = [*EntitySerializer.Meta.fields, "aliases", "links", "incidents"]

    @extend_schema_field(AliasSerializer(many=True))
    def get_aliases(self, entity: Entity) -> Any:
        """Return its names."""
        return AliasSerializer(aliases_for(self.context["user"], [entity]), many=True).data

    @extend_schema_field(LinkSerializer(many=True))
    def get_links(self, entity: Entity) -> Any:
        """Return the links from and to it; those to entities that the reader may not see are left out."""
        user = self.context["user"]
        links = list(links_for(user, [entity]))
        ends = {pk for link in links for pk in (link.source_id, link.target_id)}
        seen = set(seen_by(user).filter(pk__in=ends).values_list("pk", flat=True))
        kept = [link for link in links if {link.source_id, link.target_id} <= seen]
        return LinkSerializer(kept, many=True).data

    @extend_schema_field(SpokenSerializer(many=True))
    def get_incidents(self, entity: Entity) -> Any:
        """Return the newest incidents that speak of it."""
        return SpokenSerializer(incidents_of(self.context["user"], [entity])[:MOST_INCIDENTS], many=True).data


class _Entities(Asked, generics.GenericAPIView[Entity]):
    """The entities that the caller may see."""

    serializer_class: Any = EntitySerializer
    queryset = Entity.objects.none()
    filter_backends = ()
    cursor_ordering = "id"

    def get_queryset(self) -> QuerySet[Entity]:
        if getattr(self, "swagger_fake_view", False):
            return Entity.objects.none()
        return seen_by(self.request.user)

    def answer(self, pk: int) -> Response:
        """Show the entity as it stands now."""
        entity = get_object_or_404(seen_by(self.person), pk=pk)
        return Response(EntityDetailSerializer(entity, context={"user": self.person}).data)


class EntityList(generics.ListAPIView[Entity], _Entities):
    """Entities in the evidence of incidents that you may see, oldest first."""

    def get_queryset(self) -> QuerySet[Entity]:
        """Keep those known by the id that was asked for."""
        asked = self.request.query_params
        if getattr(self, "swagger_fake_view", False) or not (asked.get("id") or asked.get("system")):
            return super().get_queryset()
        if not asked.get("id"):
            raise Invalid("Say which id.", {"id": ["The id or number as the system writes it."]})
        return called(self.person, name=asked["id"][:200], system=asked.get("system", ""))

    @extend_schema(
        parameters=[
            OpenApiParameter("id", description="The id or number as a system writes it."),
            OpenApiParameter("system", description="The connection whose name for it that is; any where left out."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Find the entities that are known by an id or a number."""
        return super().get(request, *args, **kwargs)


class EntityDetail(_Entities):
    """One entity: its names in each system, its links, and the incidents that speak of it."""

    @extend_schema(responses=EntityDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Show one entity with the names, links and incidents that you may see."""
        return self.answer(pk)


class AliasDecisionBody(serializers.Serializer[Any]):
    """Which claim on a name, and why."""

    alias = serializers.IntegerField()
    reason = serializers.CharField(max_length=REASON_LIMIT)


class _Decide(_Entities):
    def _told(self, request: Request, pk: int) -> tuple[Alias, Incident, str]:
        entity = get_object_or_404(self.get_queryset(), pk=pk)
        body = AliasDecisionBody(data=request.data)
        body.is_valid(raise_exception=True)
        alias = aliases_for(self.person, [entity]).filter(pk=body.validated_data["alias"]).first()
        if alias is None:
            raise Invalid("There is no such name.", {"alias": ["No name of this entity that you may see."]})
        return alias, alias.evidence.incident, body.validated_data["reason"]


class ConfirmAlias(_Decide):
    """Decide that a disputed name is this entity's."""

    holds = True

    @extend_schema(request=AliasDecisionBody, responses=EntityDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Decide whose a disputed name is; the decision can be taken back."""
        alias, incident, reason = self._told(request, pk)
        entities.decide(alias, incident, holds=self.holds, by=self.person, reason=reason)
        return self.answer(pk)


class RejectAlias(ConfirmAlias):
    """Decide that a disputed name is not this entity's."""

    holds = False


class RevertAlias(_Decide):
    """Take a decision about a name back."""

    @extend_schema(request=AliasDecisionBody, responses=EntityDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Let the claims on a name stand against each other again, as before the decision."""
        alias, incident, reason = self._told(request, pk)
        decision = AliasDecision.objects.filter(alias=alias, reverted_at=None).first()
        if decision is None:
            raise IllegalMove("Nobody has decided about this name.")
        entities.revert(decision, incident, by=self.person, reason=reason)
        return self.answer(pk)
