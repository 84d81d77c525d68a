"""What a key of a model service needs."""

from typing import Any

from connectors.kinds.openai.settings import Interface, Service
from connectors.kit.needs import Needs, Told


def needs(settings: Any) -> Told:
    """Return what the key must be allowed to do; nothing of files, fine-tuning or administration."""
    if settings.service is not Service.OPENAI:
        right = f"the deployment {settings.model}: inference (such as the role Cognitive Services OpenAI User)"
    else:
        way = "responses" if settings.interface is Interface.RESPONSES else "chat completions"
        right = f"a key of its own project that may ask for {way} with {settings.model}"
    return Told((), {"chat.complete": Needs((right,))})
