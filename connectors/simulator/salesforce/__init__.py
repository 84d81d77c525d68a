"""Salesforce as it answers and tells on the wire: objects, SOQL, composite, outbound messages."""
