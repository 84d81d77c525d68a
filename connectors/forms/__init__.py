"""The forms and pages on which a connection is configured and tried."""
