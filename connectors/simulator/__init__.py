"""The enterprise simulator: Dynamics 365 F&O and Salesforce as they answer on the wire, in a process of their own."""
