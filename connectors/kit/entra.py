"""Signing in to Microsoft Entra, as every kind does whose system trusts it.

Source: the OAuth 2.0 client credentials flow of the Microsoft identity platform, version 2.0.
"""

from abc import abstractmethod
from typing import Annotated, Protocol
from urllib.parse import quote

from pydantic import StringConstraints

from connectors.kit import credentials
from connectors.kit.credentials import Token
from connectors.kit.rest import RestConnector

AUTHORITY = "https://login.microsoftonline.com"
Tenant = Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")]


class EntraSettings(Protocol):
    """Who signs in where."""

    authority: str
    tenant: str
    client_id: str


class EntraConnector(RestConnector):
    """A system for which an application signs in at its Entra tenant with its client secret."""

    settings: EntraSettings

    @abstractmethod
    def scope(self) -> str:
        """Name what the token is for."""

    def token_url(self) -> str:
        """Return the address of the tenant's token server."""
        return f"{self.settings.authority}/{quote(self.settings.tenant)}/oauth2/v2.0/token"

    def token_key(self) -> str:
        """The token depends on the tenant, the application, its secret and what the token is for."""
        config, secret = self.settings, self.secret("client_secret")
        return credentials.key_of(self.slug, config.authority, config.tenant, config.client_id, self.scope(), secret)

    def fetch_token(self) -> Token:
        """Sign in with client credentials."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.settings.client_id,
            "client_secret": self.secret("client_secret"),
            "scope": self.scope(),
        }
        return self.token_of(self.ask_for_token(self.token_url(), form))
