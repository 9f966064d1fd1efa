"""The arena's addresses."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, path, re_path

from arena.views import home, joining, phases, recruiting, results, turk, voting

app_name = "arena"
urlpatterns: list[URLPattern] = [
    path("", home.home, name="home"),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("join/<str:token>/", joining.join, name="join"),
    path("panel/<slug:slug>/", joining.join_from_panel, name="join_from_panel"),
    path("panel/<slug:slug>/messages/", recruiting.panel_messages, name="panel_messages"),
    path("turk/<slug:slug>/", turk.join_from_turk, name="join_from_turk"),
    path("vote/<slug:slug>/", voting.vote, name="vote"),
    path("vote/<slug:slug>/consent/", phases.consent_again, name="consent"),
    path("vote/<slug:slug>/instructions/", phases.read_instructions, name="instructions"),
    path("vote/<slug:slug>/questions/", phases.screening, name="screening"),
    path("vote/<slug:slug>/qualification/", phases.qualification, name="qualification"),
    path("examples/<str:token>.webp", phases.example_image, name="example_image"),
    path("vote/<slug:slug>/queue.json", voting.vote_queue, name="vote_queue"),
    path("vote/<slug:slug>/done/", voting.done, name="done"),
    re_path(r"^ballots/(?P<token>[0-9a-f]{32})/(?P<side>left|right)\.webp$", voting.ballot_image, name="ballot_image"),
    path("studies/<slug:slug>/", results.study, name="study"),
    path("studies/<slug:slug>/invitations/", recruiting.invitations, name="invitations"),
    path("studies/<slug:slug>/invitations/<int:pk>/revoke/", recruiting.revoke_invitation, name="revoke_invitation"),
    path("studies/<slug:slug>/simulated/", results.count_simulated, name="count_simulated"),
    path("studies/<slug:slug>/charts/<slug:name>.<str:suffix>", results.chart, name="chart"),
]
