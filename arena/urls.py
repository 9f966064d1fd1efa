"""The arena's addresses."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, path, re_path

from arena.views import gold, home, joining, judging, results, voting

app_name = "arena"
urlpatterns: list[URLPattern] = [
    path("", home.home, name="home"),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("join/<str:token>/", joining.join, name="join"),
    path("vote/<slug:slug>/", voting.vote, name="vote"),
    path("vote/<slug:slug>/queue.json", voting.vote_queue, name="vote_queue"),
    path("vote/<slug:slug>/done/", voting.done, name="done"),
    re_path(r"^ballots/(?P<token>[0-9a-f]{32})/(?P<side>left|right)\.webp$", voting.ballot_image, name="ballot_image"),
    path("studies/<slug:slug>/", results.study, name="study"),
    path("studies/<slug:slug>/simulated/", results.count_simulated, name="count_simulated"),
    path("studies/<slug:slug>/raters/", judging.rater_list, name="raters"),
    path("studies/<slug:slug>/raters.csv", judging.rater_csv, name="raters_csv"),
    path("studies/<slug:slug>/raters/exclude/", judging.exclude_raters, name="exclude_raters"),
    path("studies/<slug:slug>/raters/readmit/", judging.readmit_rater, name="readmit_rater"),
    path("studies/<slug:slug>/raters/dismiss/", judging.dismiss_flag, name="dismiss_flag"),
    path("studies/<slug:slug>/gold/", gold.gold_list, name="gold"),
    path("studies/<slug:slug>/gold/propose/", gold.propose_gold, name="propose_gold"),
    path("studies/<slug:slug>/gold/decide/", gold.decide_gold, name="decide_gold"),
    re_path(
        r"^studies/(?P<slug>[-\w]+)/gold/(?P<pk>\d{1,9})/(?P<side>first|second)\.webp$",
        gold.gold_image,
        name="gold_image",
    ),
    path("studies/<slug:slug>/charts/<slug:name>.<str:suffix>", results.chart, name="chart"),
]
