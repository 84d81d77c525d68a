"""The pages that links from the console lead to."""

from tests.simulator.bench import Bench


def test_salesforce_shows_one_record_without_a_token_and_as_text(sim: Bench):
    case = sim.plant("sf", "Case", Subject="<script>alert(1)</script>")

    shown = sim.http.get(f"/sf/lightning/r/Case/{case['Id']}/view")

    assert shown.status_code == 200
    assert shown.headers["Content-Type"].startswith("text/html")
    assert "&lt;script&gt;" in shown.text
    assert "<script" not in shown.text


def test_salesforce_has_no_page_of_what_is_not_there(sim: Bench):
    assert sim.http.get("/sf/lightning/r/Case/500gs00000ZZZZZAAA/view").status_code == 404
    assert sim.http.get("/sf/lightning/r/Nothing/1/view").status_code >= 400
    assert sim.http.get("/sf/lightning/o/Case/list").status_code == 401


def test_fo_opens_the_form_of_a_company(sim: Bench):
    for company, account in (("usmf", "US-001"), ("demf", "DE-001")):
        sim.plant("fo", "CustomersV3", dataAreaId=company, CustomerAccount=account)

    shown = sim.http.get("/fo/", params={"cmp": "USMF", "mi": "CustTableListPage"})

    assert shown.status_code == 200
    assert "US-001" in shown.text
    assert "DE-001" not in shown.text
    assert sim.http.get("/fo/", params={"cmp": "usmf", "mi": "Nothing"}).status_code == 404
    assert sim.http.get("/fo/").status_code == 401
