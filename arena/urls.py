"""The arena's addresses."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, path, re_path
from django.views.i18n import set_language

from arena.views import (
    gold,
    home,
    image_grids,
    image_imports,
    image_safety,
    joining,
    judging,
    own_data,
    results,
    runs,
    voting,
)

app_name = "arena"
urlpatterns: list[URLPattern] = [
    path("", home.home, name="home"),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("language/", set_language, name="set_language"),
    path("join/<str:token>/", joining.join, name="join"),
    path("vote/<slug:slug>/", voting.vote, name="vote"),
    path("vote/<slug:slug>/queue.json", voting.vote_queue, name="vote_queue"),
    path("vote/<slug:slug>/undo/", voting.undo, name="undo"),
    path("vote/<slug:slug>/done/", voting.done, name="done"),
    path("vote/<slug:slug>/my-data/", own_data.own_data, name="own_data"),
    path("vote/<slug:slug>/my-data.json", own_data.download, name="own_data_file"),
    re_path(r"^ballots/(?P<token>[0-9a-f]{32})/(?P<side>left|right)\.webp$", voting.ballot_image, name="ballot_image"),
    path("images/import/", image_imports.new_import, name="new_import"),
    path("images/import/<int:pk>/", image_imports.image_import, name="image_import"),
    path("images/import/<int:pk>/files/", image_imports.upload_files, name="upload_files"),
    path("images/import/<int:pk>/commit/", image_imports.commit, name="commit_import"),
    path("images/import/<int:pk>/discard/", image_imports.discard, name="discard_import"),
    path("studies/<slug:slug>/", results.study, name="study"),
    path("studies/<slug:slug>/simulated/", results.count_simulated, name="count_simulated"),
    path("studies/<slug:slug>/images/", runs.study_images, name="study_images"),
    path("studies/<slug:slug>/images/<int:pk>.<str:suffix>", image_grids.study_image, name="study_image"),
    path("studies/<slug:slug>/grid/", image_grids.study_grid, name="study_grid"),
    path("runs/", runs.run_list, name="runs"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/steer/", runs.steer, name="steer_run"),
    path("runs/<int:pk>/grid/", image_grids.run_grid, name="run_grid"),
    path("runs/<int:run_pk>/images/<int:pk>.<str:suffix>", image_grids.run_image, name="run_image"),
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
    path("images/<int:pk>/", image_safety.image, name="image"),
    path("images/<int:pk>/picture.png", image_safety.picture, name="image_picture"),
    path("images/<int:pk>/report/", image_safety.report, name="report_image"),
    path("images/<int:pk>/withdraw/", image_safety.withdraw, name="withdraw_image"),
    path("images/<int:pk>/restore/", image_safety.restore, name="restore_image"),
]
