"""What tests of the OData feed share: a few incidents, and a way to ask."""

from tests.incidents.factories import make_incident


def asker(client):
    """Return ``ask(path, status, **headers)``: it answers the response, which has that status and says its version."""

    def ask(path="", status=200, **headers):
        response = client.get(f"/odata/v4/{path}", headers=headers)
        assert response.status_code == status, response.content
        assert response["OData-Version"] == "4.0"
        return response

    return ask


def three(**changes):
    """Three incidents: two of unit EU, one of US."""
    return [
        make_incident(id="a", entity_key="CIV-1", amount="100.10", business_unit="EU", **changes),
        make_incident(id="b", entity_key="CIV-2", amount=None, business_unit="EU", code="price_mismatch", **changes),
        make_incident(id="c", entity_key="CIV-3", amount="9007199254740.93", business_unit="US", **changes),
    ]


def keys(response):
    return [row["entity_key"] for row in response.json()["value"]]
