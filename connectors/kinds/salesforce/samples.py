"""What Salesforce sends, for people to try a hook with."""

from connectors.base import Sample
from connectors.kinds.salesforce.settings import SalesforceConfig

_MESSAGE = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body>
<notifications xmlns="http://soap.sforce.com/2005/09/outbound">
 <OrganizationId>{organization}</OrganizationId>
 <ActionId>04k000000000001AAA</ActionId>
 <SessionId xsi:nil="true"/>
 <Notification>
  <Id>04l000000000001AAA</Id>
  <sObject xsi:type="sf:Case" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
   <sf:Id>500000000000001AAA</sf:Id>
   <sf:CaseNumber>00001001</sf:CaseNumber>
   <sf:Status>New</sf:Status>
  </sObject>
 </Notification>
</notifications>
</soapenv:Body>
</soapenv:Envelope>"""


def outbound_message(settings: SalesforceConfig) -> Sample:
    """Return an outbound message of this connection's organization."""
    body = _MESSAGE.format(organization=settings.organization_id or "00D000000000001EAA")
    return Sample(body, "text/xml; charset=utf-8", (("SOAPAction", '""'),), in_path=True)
