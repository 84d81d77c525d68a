"""The addresses of this floor: pages at the root, the API below ``/api/v1/``."""

from django.urls import path

from approvals import api, views

urlpatterns = [
    path("approvals/", views.approvals_list, name="approvals"),
    path("approvals/<int:pk>/", views.approval, name="approval"),
    path("approvals/<int:pk>/decide/", views.decide, name="approval_decide"),
    path("approvals/<int:pk>/approve/", views.decide, {"verdict": "approve"}, name="approval_approve"),
    path("approvals/<int:pk>/reject/", views.decide, {"verdict": "reject"}, name="approval_reject"),
    path("approvals/<int:pk>/delegate/", views.delegate, name="approval_delegate"),
]
api_urlpatterns = [
    path("approvals/", api.ApprovalList.as_view(), name="api_approvals"),
    path("approvals/<int:pk>/", api.ApprovalDetail.as_view(), name="api_approval"),
    path("approvals/<int:pk>/approve/", api.Approve.as_view(), name="api_approval_approve"),
    path("approvals/<int:pk>/reject/", api.Reject.as_view(), name="api_approval_reject"),
    path("approvals/<int:pk>/delegate/", api.Delegate.as_view(), name="api_approval_delegate"),
]
