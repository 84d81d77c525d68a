"""The mailbox of the enterprise: read by IMAP, filled by SMTP."""
