"""The embedded server serves the application that gunicorn does, in a process that is set up alike."""

import gc

import waitress

from config import wsgi
from config.embedded import Embedded


def test_the_embedded_server_serves_the_application_that_gunicorn_does(monkeypatch):
    served = []
    monkeypatch.setattr(waitress, "create_server", lambda application, **how: served.append(application))

    Embedded("127.0.0.1", 0)

    assert served == [wsgi.application]


def test_what_a_server_has_loaded_is_not_looked_through_for_garbage():
    assert wsgi.application is not None
    assert gc.get_threshold() == (50_000, 20, 50)
    assert gc.get_freeze_count() > 10_000
