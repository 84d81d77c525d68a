"""What a mailbox's account needs to be read and to send."""

from typing import Any

from connectors.kinds.mail.settings import SignIn
from connectors.kit.needs import Needs, Told


def needs(settings: Any) -> Told:
    """Return the application permissions for Exchange Online; elsewhere the account itself is the right."""
    oauth = settings.sign_in == SignIn.OAUTH
    reading = "IMAP.AccessAsApp, for this mailbox alone" if oauth else "an account that may read this mailbox alone"
    sending = "SMTP.SendAsApp, for this mailbox alone" if oauth else "the right to send as its own address alone"
    always = (reading,) if settings.imap_host else ()
    return Told(always, {"mail.send": Needs((sending,) if settings.smtp_host else ())})
