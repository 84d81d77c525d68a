"""The enterprise simulator: ERP, CRM, mail and chat as they answer and tell on the wire, in a process of their own.

"(wire: …)" in its modules names the section of the collected wire facts that a behaviour follows; where a fact has a
public document, such as an RFC, that is named instead.
"""
