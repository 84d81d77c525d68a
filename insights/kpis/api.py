"""The measures over HTTP."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.errors import Invalid
from insights.kpis import periods
from insights.kpis.answers import answer
from insights.kpis.cells import BY
from insights.kpis.serializers import KpisSerializer, body_of
from insights.kpis.used import use_measures

_MOMENT: dict[str, Any] = {"type": OpenApiTypes.STR, "location": OpenApiParameter.QUERY}


class Kpis(APIView):
    """How well it goes: each measure with its value, n, interval and definition."""

    @extend_schema(
        responses=KpisSerializer,
        parameters=[
            OpenApiParameter("from", description="A date or time (UTC); included. Default: 90 days ago.", **_MOMENT),
            OpenApiParameter("to", description="A date or time (UTC); excluded. Default: the end of today.", **_MOMENT),
            OpenApiParameter("by", description="Also measure each part.", enum=BY),
        ],
    )
    def get(self, request: Request) -> Response:
        """Measure the incidents and changes of a period, as far as you may see them.

        At most 15 seconds old, longer where counting is slow.
        """
        by = request.query_params.get("by", "")
        if by and by not in BY:
            raise Invalid(f"There is no way to part by {by[:40]}.", {"by": [f"One of {', '.join(BY)}."]})
        period = periods.parse(request.query_params)
        body = body_of(answer(request.user, period, by), use_measures(request.user, period))
        return Response(KpisSerializer(body).data)
