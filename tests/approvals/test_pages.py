"""The approver's pages."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals import actions
from approvals.access import why_not
from approvals.cards import card
from approvals.models import ApprovalRequest, Decision, Delegation
from approvals.views import PAGE_SIZE
from tests.approvals.factories import DIGEST, OTHER_DIGEST, demand, make_request, run_out
from tests.factories import make_user

pytestmark = pytest.mark.django_db
STEP = {
    "number": 1,
    "title": "Credit invoice INV-000412",
    "connection": "fo",
    "operation": "invoice.credit",
    "parameters": {"company": "demf", "invoice": "INV-000412"},
    "undo": None,
    "reversible": "no",
    "predicted": [
        {
            "entity": "SalesInvoiceHeadersV2",
            "key": "INV-000412",
            "field": "CreditedAmount",
            "before": 0,
            "after": 1250,
            "side_effect": False,
        }
    ],
}


def post(client, user, approval: ApprovalRequest, page: str = "approval_decide", **form: str):
    client.force_login(user)
    return client.post(reverse(page, args=[approval.pk]), {"digest": DIGEST, **form}, follow=True)


def told(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_the_list_shows_first_what_waits_for_this_person(client, approver):
    make_request(title="Mine to decide")
    make_request(demand("compliance"), subject_id=2, title="For compliance")
    client.force_login(approver)

    page = client.get(reverse("approvals"))

    assert [row.title for row in page.context["mine"]] == ["Mine to decide"]
    assert [row.title for row in page.context["page"].rows] == ["For compliance"]
    assert b"Mine to decide" in page.content


def test_the_list_shows_one_state_at_a_time(client, approver):
    actions.decide(make_request(title="Done"), by=approver, verdict="approve", digest=DIGEST)
    client.force_login(approver)

    page = client.get(reverse("approvals"), {"state": "approved"})

    assert [row.title for row in page.context["page"].rows] == ["Done"]


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"page": "-7"}, {"page": "x"}])
def test_the_list_takes_nonsense_for_its_first_page(client, approver, query):
    client.force_login(approver)

    page = client.get(reverse("approvals"), query)

    assert page.status_code == 200
    assert page.context["state"] == "pending"
    assert b"Nothing waits for your yes" in page.content


def test_a_cursor_from_elsewhere_is_a_page_that_is_not_there(client, approver):
    client.force_login(approver)

    assert client.get(reverse("approvals"), {"cursor": "x"}).status_code == 404


def test_the_list_says_that_more_waits_than_it_shows_and_shows_nothing_twice(client, approver):
    for number in range(PAGE_SIZE + 2):
        make_request(title=f"Plan {number}", subject_id=1_000 + number)
    client.force_login(approver)

    page = client.get(reverse("approvals"))

    above = {row.pk for row in page.context["mine"]}
    below = {row.pk for row in page.context["page"].rows}
    assert f"More than {PAGE_SIZE} plans wait for your yes" in page.content.decode()
    assert (len(above), len(below), above & below) == (PAGE_SIZE, 2, set())


def test_the_list_takes_as_many_queries_for_sixty_requests_as_for_one(client, approver):
    make_request(title="One", subject_id=999)
    client.force_login(approver)
    client.get(reverse("approvals"))
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("approvals"))
    for number in range(60):
        make_request(title=f"Plan {number}", subject_id=1_000 + number)

    with CaptureQueriesContext(connection) as many:
        client.get(reverse("approvals"))

    assert len(many) <= len(few) <= 20


def test_the_page_shows_each_field_before_and_after(client, approver):
    approval = make_request(summary={"rationale": "It was sent twice.", "steps": [STEP]})
    client.force_login(approver)

    page = client.get(approval.get_absolute_url()).content.decode()

    assert "It was sent twice." in page
    assert "CreditedAmount" in page
    assert "<del>0.00</del>" in page
    assert "<ins>1,250.00</ins>" in page
    assert "cannot be undone" in page
    assert f'name="digest" value="{DIGEST}"' in page


def test_text_from_outside_is_shown_as_text(client, approver):
    approval = make_request(title="<script>alert(1)</script>", summary={"rationale": "<b>x</b>", "steps": []})
    client.force_login(approver)

    page = client.get(approval.get_absolute_url()).content.decode()

    assert "<script>alert" not in page
    assert "&lt;b&gt;x" in page


def test_who_may_not_decide_sees_why_and_no_button(client, operator):
    approval = make_request()
    client.force_login(operator)

    page = client.get(approval.get_absolute_url()).content.decode()

    assert "you do not hold" in page
    assert reverse("approval_approve", args=[approval.pk]) not in page


def test_a_settled_request_shows_who_said_what(client, approver, operator):
    approval = make_request()
    actions.delegate(approval, by=approver, to=operator, reason="On leave.")
    actions.decide(approval, by=operator, verdict="reject", digest=DIGEST, comment="Wrong customer.")
    client.force_login(approver)

    page = client.get(approval.get_absolute_url()).content.decode()

    assert "<b>operator</b> for approver said no" in page
    assert "Wrong customer." in page


def test_a_yes_on_the_page_settles_and_thanks(client, approver):
    approval = make_request()

    page = post(client, approver, approval, verdict="approve")

    approval.refresh_from_db()
    assert approval.state == "approved"
    assert told(page) == ["Approved. The change is sent and read back."]
    assert page.redirect_chain == [(approval.get_absolute_url(), 302)]


def test_the_buttons_of_the_bar_need_no_verdict_field(client, approver, approver2):
    first, second = make_request(), make_request(subject_id=2)

    post(client, approver, first, "approval_approve")
    post(client, approver2, second, "approval_reject", comment="No.")

    assert set(Decision.objects.values_list("verdict", flat=True)) == {"approve", "reject"}


def test_a_first_yes_of_two_says_that_another_is_needed(client, approver):
    page = post(client, approver, make_request(demand(quorum=2)), verdict="approve")

    assert told(page) == ["Your yes counts: 1 of 2. Somebody else has to say yes too."]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"verdict": "approve", "digest": OTHER_DIGEST}, "This has changed since you looked"),
        ({"verdict": "reject", "comment": ""}, "A reason is needed to reject."),
        ({"verdict": "perhaps"}, "A decision is approve or reject."),
        ({}, "A decision is approve or reject."),
    ],
)
def test_a_refusal_is_said_on_the_page_and_nothing_is_decided(client, approver, form, words):
    page = post(client, approver, make_request(), **form)

    assert page.status_code == 200
    assert words in told(page)[0]
    assert not Decision.objects.exists()


def test_what_ran_out_while_the_page_was_open_is_said(client, approver):
    page = post(client, approver, run_out(make_request()), verdict="approve")

    assert "run out" in told(page)[0]


@pytest.mark.parametrize("page", ["approval_decide", "approval_approve", "approval_reject", "approval_delegate"])
def test_another_units_request_is_404_and_a_get_changes_nothing(client, approver, page):
    approval = make_request(business_unit="EU")
    elsewhere = make_user("elsewhere", role="approver", units=["US"])

    hidden = post(client, elsewhere, approval, page, verdict="approve")
    client.force_login(approver)
    looked = client.get(reverse(page, args=[approval.pk]))

    assert (hidden.status_code, looked.status_code) == (404, 405)
    assert not Decision.objects.exists()


def test_nobody_sees_anything_without_signing_in(client):
    approval = make_request()

    pages = [client.get(reverse("approvals")), client.get(approval.get_absolute_url())]

    assert [page.status_code for page in pages] == [302, 302]


def test_handing_over_on_the_page_names_the_other(client, approver, operator):
    page = post(client, approver, make_request(), "approval_delegate", to=" operator ", comment="On leave.")

    assert told(page) == ["operator can decide this on your behalf now."]
    assert Delegation.objects.get().taker == operator


def test_handing_over_to_nobody_is_said(client, approver):
    page = post(client, approver, make_request(), "approval_delegate", to="ghost", comment="On leave.")

    assert "nobody of that name" in told(page)[0]
    assert not Delegation.objects.exists()


@pytest.mark.parametrize(
    ("target", "back"),
    [("/approvals/", "/approvals/"), ("https://elsewhere.example/", None), ("//elsewhere.example/", None)],
)
def test_after_a_decision_one_returns_to_a_page_of_this_house_only(client, approver, target, back):
    approval = make_request()
    client.force_login(approver)

    answer = client.post(reverse("approval_approve", args=[approval.pk]), {"digest": DIGEST, "next": target})

    assert answer["Location"] == (back or approval.get_absolute_url())


def test_the_bar_knows_whether_this_person_may_decide(approver, operator):
    approval = make_request()

    assert card(approval, why_not(approval, approver))["can_decide"] is True
    assert card(approval, why_not(approval, operator))["why_not"].startswith("This asks for the role approver")
