"""The feed read by a client that nobody here wrote (python-odata), in an environment of its own."""

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

from tests.factories import make_token, make_user
from tests.incidents.factories import make_incident

CLIENT = "python-odata==0.8.1"
SCRIPT = """
import json, sys
from odata import ODataService

service = ODataService(sys.argv[1], auth=("operator", sys.argv[2]), reflect_entities=True)
entities = {name: one for name, one in service.entities.items()}
Incident, Count = entities["Incidents"], entities["Signals"]
found = service.query(Incident).filter(Incident.business_unit == "EU").order_by(Incident.entity_key.desc()).all()
money = service.query(Incident).filter(Incident.amount > 150).select(Incident.id, Incident.amount).all()
every = [one.id for one in service.query(Incident).all()]
print(json.dumps({
    "sets": sorted(entities),
    "keys": [one.entity_key for one in found],
    "opened": found[0].opened_at.isoformat(),
    "amounts": [str(one["amount"] if isinstance(one, dict) else one.amount) for one in money],
    "every": len(every),
    "signals": sum(one.signals for one in service.query(Count).all()),
}))
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory) -> Path:
    """The Python of an environment that has the client; without one the test is skipped with a line that says why."""
    if given := os.environ.get("ODATA_CLIENT_PYTHON"):
        return Path(given)
    home = tmp_path_factory.mktemp("odata-client")
    venv.create(home, with_pip=True)
    installed = subprocess.run(
        [home / "bin" / "pip", "install", "--quiet", CLIENT], capture_output=True, text=True, timeout=300, check=False
    )
    if installed.returncode:
        pytest.skip(f"{CLIENT} cannot be installed here: {installed.stderr.strip().splitlines()[-1:]}")
    return Path(home / "bin" / "python")


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_client_that_nobody_here_wrote_reads_the_feed(live_server, python):
    operator = make_user("operator", role="operator")
    for number in range(4):
        unit, amount = ("EU", "100.50") if number % 2 else ("US", "200.25")
        make_incident(id=str(number), entity_key=f"CIV-{number}", business_unit=unit, amount=amount)

    told = subprocess.run(
        [python, "-c", SCRIPT, f"{live_server.url}/odata/v4/", make_token(operator)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert told.returncode == 0, told.stderr[-2_000:]
    found = json.loads(told.stdout.splitlines()[-1])
    assert {"Incidents", "Plans", "Signals", "Variants"} <= set(found["sets"])
    assert (found["keys"], found["amounts"]) == (["CIV-3", "CIV-1"], ["200.25", "200.25"])
    assert (found["every"], found["signals"]) == (4, 4)
    assert found["opened"].startswith("20")
