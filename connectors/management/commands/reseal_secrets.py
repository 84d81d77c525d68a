"""Seal stored credentials under a new key, while everything goes on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.context import Source, coming_from
from connectors import actions, vault


class Command(BaseCommand):
    """``reseal_secrets``: once the new key stands first in ``CREDENTIAL_KEY``, with the old one behind it."""

    help = (
        "Seals every secret of a connection anew that stands under an older key than the first in CREDENTIAL_KEY."
        " Exit 1 names those that do not open; all others are done all the same."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seal, and say how many there were; running it again seals none."""
        with coming_from(Source("command")):
            try:
                count = actions.reseal_secrets(actor="system:command")
            except vault.CannotOpen as closed:
                raise CommandError(str(closed)) from closed
        self.stdout.write(f"{count} secrets are sealed anew; the first key of CREDENTIAL_KEY opens them all.")
