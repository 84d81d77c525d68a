"""What Salesforce sends, as it puts it: outbound messages in SOAP, change and platform events as CometD gives them."""

import json
from typing import Any

from django.test import Client

from tests.connectors.factories import HOOK_SECRET

SOAP = "text/xml; charset=utf-8"
ORGANIZATION, CASE, NOTE = "00DD0000000muCUMAY", "500gs0000000001AAA", "04l570000176YSmAAM"
SESSION = "00DD0000000muCU!AQsession.that.nobody.keeps"

# A message of a real organization about an object of its own (comsave/salesforce-outbound-message-bundle, MIT).
CAPTURED = b"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Body>
  <notifications xmlns="http://soap.sforce.com/2005/09/outbound">
   <OrganizationId>00DD0000000muCUMAY</OrganizationId>
   <ActionId>04k57000000TOUIAA4</ActionId>
   <SessionId xsi:nil="true"/>
   <EnterpriseUrl>https://eu4.salesforce.com/services/Soap/c/42.0/00DD0000000muCU</EnterpriseUrl>
   <PartnerUrl>https://eu4.salesforce.com/services/Soap/u/42.0/00DD0000000muCU</PartnerUrl>
   <Notification>
    <Id>04l570000176YSmAAM</Id>
    <sObject xsi:type="sf:DiscountRule__c" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
     <sf:Id>a025700000OPgOjAAL</sf:Id>
     <sf:ContractTerm__c>24</sf:ContractTerm__c>
     <sf:CreatedDate>2017-05-02T11:53:53.000Z</sf:CreatedDate>
     <sf:Discount__c>0.0</sf:Discount__c>
     <sf:IsDeleted>false</sf:IsDeleted>
     <sf:LastModifiedDate>2018-05-04T11:35:40.000Z</sf:LastModifiedDate>
     <sf:Name>244 Months</sf:Name>
     <sf:Price__c>419.0</sf:Price__c>
     <sf:Product__c>01t57000006qVLRAA2</sf:Product__c>
     <sf:Type__c>Wholesale</sf:Type__c>
    </sObject>
   </Notification>
  </notifications>
 </soapenv:Body>
</soapenv:Envelope>"""  # noqa: E501 - as it was captured


def notification(key: str = CASE, note: str = NOTE, entity: str = "Case", fields: str = "") -> str:
    """One notification about a record."""
    return (
        f'<Notification><Id>{note}</Id><sObject xsi:type="any:{entity}" '
        f'xmlns:any="urn:sobject.enterprise.soap.sforce.com"><any:Id>{key}</any:Id>{fields}</sObject></Notification>'
    )


def envelope(*notifications: str, organization: str = ORGANIZATION) -> bytes:
    """A message with these notifications."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organization}</OrganizationId><SessionId>{SESSION}</SessionId>"
        f"{''.join(notifications or (notification(),))}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


def change(replay: int | str | None = 6, fields: dict[str, Any] | None = None, **header: Any) -> dict[str, Any]:
    """A change event as a CometD client gives it."""
    known = {
        "entityName": "Case", "recordIds": [CASE], "changeType": "UPDATE", "commitTimestamp": 1767225600000,
        "changeOrigin": "com/salesforce/api/rest/62.0", "transactionKey": "000046c7-a642-11e2-c29b-229c6786473e",
        "sequenceNumber": 1, "commitUser": "005gs0000000001AAA", "changedFields": ["Status"],
    }  # fmt: skip
    payload = {"ChangeEventHeader": {**known, **header}, **(fields or {"Status": "Working"})}
    event = {} if replay is None else {"event": {"replayId": replay}}
    return {"channel": "/data/CaseChangeEvent", "data": {"schema": "5GiC-KFwBG", "payload": payload, **event}}


def tell(body: bytes | Any, *, slug: str = "crm", secret: str = HOOK_SECRET) -> Any:
    """Deliver a message in SOAP, or an event in JSON, to a hook."""
    soap = isinstance(body, bytes)
    content, content_type = (body, SOAP) if soap else (json.dumps(body), "application/json")
    return Client().post(
        f"/api/v1/hooks/{slug}/{secret}/", content, content_type=content_type, headers={"SOAPAction": '""'}
    )
