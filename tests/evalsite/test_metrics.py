"""What Prometheus reads: every documented metric is there, it moves with what happens, and strangers get nothing."""

import fcntl
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from django.conf import settings as site
from django.core.cache import caches
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from arena import fitting, voting
from arena.models import Ballot, Exclusion
from evalsite.forgiving_cache import ForgivingRedisCache
from evalsite.metrics import collecting, folding
from evalsite.metrics.catalogue import CATALOGUE
from generation import jobs
from generation.heartbeats import beat_heart
from generation.models import ImageJob, Run, TaskRecord
from generation.worker_tallies import tallies
from tests.arena.factories import cast, make_rater, make_study
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address
from tests.generation.rows import image_for, make_run
from tests.servers.addresses import free_port, wait_until

TOKEN = "a token of more than thirty-two characters"  # noqa: S105


@pytest.fixture(autouse=True)
def _a_token(settings: Any) -> Iterator[None]:
    settings.METRICS_TOKEN = TOKEN
    caches["sums"].clear()
    yield
    collecting.forget()


def scrape() -> dict[str, Family]:
    """What is read now, by the name of the metric as it is documented."""
    collecting.forget()
    reply = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (reply.status_code, reply.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(reply.content.decode())
    return {f"{one.name}_total" if one.type == "counter" else one.name: one for one in families}


def value(found: dict[str, Family], name: str, **labels: str) -> float:
    """The sum over the samples of a metric that carry these labels."""
    samples = [one for one in found[name].samples if one.name in (name, f"{name}_count")]
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


@pytest.mark.django_db
def test_every_metric_of_the_catalogue_is_there_as_it_is_described() -> None:
    study = make_study(contenders=2, prompts=2)
    cast(make_rater(study), ballots=1)
    fitting.refit(study)
    make_run()
    beat_heart(worker="gpu:1", queues=["gen.gpu24"], device="H100")
    TaskRecord.objects.create(name="t", succeeded_at=timezone.now(), seconds=1.0)
    Client().get("/healthz")
    found = scrape()
    described = {one.name: (one.kind, one.meaning) for one in CATALOGUE}
    assert {name: (family.type, family.documentation) for name, family in found.items()} == described
    for one in CATALOGUE:
        if one.name == "winrate_worker_memory_bytes":
            continue  # nothing was drawn yet
        labels = [set(sample.labels) - {"le"} for sample in found[one.name].samples]
        assert labels and all(each == set(one.labels) for each in labels), one


@pytest.mark.django_db
def test_a_vote_from_a_browser_moves_its_counts() -> None:
    study = make_study(slug="hers", contenders=2, prompts=2)
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    before = scrape()
    assert browser.post(vote_address(study), answers_to(ballot, "right")).status_code == 302
    after = scrape()

    def moved(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    asked = ballot.study_prompt.criteria.count()
    assert moved("winrate_votes_total", choice="right", origin="issued", stratum="people") == asked
    assert moved("winrate_votes_total") == asked
    assert moved("winrate_ballots_open") == -1
    posted = {"route": "arena:vote", "method": "POST", "status": "302"}
    assert moved("winrate_requests_total", **posted) == 1
    assert moved("winrate_request_seconds", route="arena:vote") == 1
    assert value(after, "winrate_newest_vote_timestamp_seconds") > timezone.now().timestamp() - 60
    assert value(after, "winrate_ballots_total", stratum="people") == Ballot.objects.count()


@pytest.mark.django_db
def test_fits_exclusions_and_overdue_ballots_are_counted() -> None:
    study = make_study(contenders=2, prompts=2)
    rater = make_rater(study)
    cast(rater, ballots=1)
    made = fitting.refit(study)
    Exclusion.objects.create(study=study, scope="rater", rater=rater, reason="tried out")
    voting.open_ballots(rater=make_rater(study), wanted=1)
    Ballot.objects.filter(state="open").update(lease_until=timezone.now() - timedelta(minutes=1))
    found = scrape()
    assert (value(found, "winrate_fits_total"), value(found, "winrate_exclusions", scope="rater")) == (len(made), 1)
    assert value(found, "winrate_ballots_overdue") == value(found, "winrate_ballots_open") > 0
    assert value(found, "winrate_studies", state="open") == 1


@pytest.mark.django_db
def test_images_jobs_leases_and_paused_runs_are_counted() -> None:
    run = make_run(prompts=4)
    first, second, third = jobs.claim(worker="gpu:1", most=3)
    jobs.finish([image_for(first, seconds=2.0)])
    jobs.fail([second], worker="gpu:1", reason="it burst", is_retryable=False)
    ImageJob.objects.filter(pk=third.pk).update(lease_until=timezone.now() - timedelta(minutes=1))
    found = scrape()
    assert value(found, "winrate_images_total", source="made") == 1
    assert value(found, "winrate_image_seconds_total") == 2.0
    states = {state: value(found, "winrate_image_jobs", state=state) for state in ("pending", "running", "failed")}
    assert states == {"pending": 1, "running": 1, "failed": 1}
    assert (value(found, "winrate_image_jobs_due"), value(found, "winrate_image_leases_overdue")) == (1, 1)
    Run.objects.filter(pk=run.pk).update(paused_at=timezone.now(), pause_reason="The disk is full.")
    assert value(scrape(), "winrate_runs_paused", cause="storage") == 1


@pytest.mark.django_db
def test_a_worker_tells_its_memory_and_how_often_it_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, held in {"out_of_memory": 2, "memory_used": 10, "memory_peak": 20, "memory_total": 80}.items():
        monkeypatch.setattr(tallies, name, held)
    beat_heart(worker="gpu:1", queues=["gen.gpu24"], device="H100")
    found = scrape()
    assert value(found, "winrate_worker_out_of_memory_total", worker="gpu:1", device="H100") == 2
    kinds = {kind: value(found, "winrate_worker_memory_bytes", kind=kind) for kind in ("used", "peak", "total")}
    assert kinds == {"used": 10, "peak": 20, "total": 80}
    assert value(found, "winrate_workers", queue="gen.gpu24") == 1


@pytest.mark.django_db
def test_without_a_token_in_the_settings_there_is_no_such_page(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ÄÖ"])
def test_a_wrong_token_gets_nothing(client: Client, given: str) -> None:
    reply = client.get("/metrics", headers={"Authorization": given})
    assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    assert b"winrate_votes" not in reply.content


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_told_beside_what_is_known_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr("arena.site_numbers.votes", fail)
    monkeypatch.setattr("evalsite.metrics.collecting.connection.close", lambda: None)
    found = scrape()
    assert value(found, "winrate_database_up") == 0
    assert "winrate_votes_total" not in found and "winrate_requests_total" in found


@pytest.mark.django_db
def test_two_looks_within_seconds_ask_the_database_once(client: Client, django_assert_num_queries: Any) -> None:
    scrape()
    with django_assert_num_queries(0):
        client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})


COUNTING = """
import os, django; django.setup()
from evalsite.metrics import requests
{begin}
for _ in range({times}):
    requests.count(route="a:page", method="GET", status=200, seconds=0.02)
print(sum(s.value for f in requests.families() for s in f.samples if s.name == "winrate_requests_total"))
"""


@pytest.mark.once
def test_requests_are_summed_over_processes_until_the_server_starts_anew(tmp_path: Path) -> None:
    variables = {**os.environ, "WINRATE_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "evalsite.settings"}

    def process(times: int, begin: str = "") -> float:
        code = COUNTING.format(times=times, begin=begin)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=site.BASE_DIR, env=variables, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    assert [process(2), process(3), process(1, begin="requests.begin_anew()")] == [2, 5, 1]


class CountingServer:
    """gunicorn with our hooks and two processes of `counting_app`, in a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.url, self.folder = f"http://{address}/", folder / "metrics" / gethostname()
        command = [sys.executable, "-m", "gunicorn", "tests.evalsite.counting_app", "--workers", "2", "--preload"]
        command += ["--bind", address, "--config", "python:evalsite.gunicorn_hooks"]
        variables = {**os.environ, "WINRATE_DATA_DIR": str(folder)}
        self._process = subprocess.Popen([*command, "--no-control-socket"], cwd=site.BASE_DIR, env=variables)
        wait_until(lambda: self.process_that_counted() is not None, seconds=120, what="the counting server answers")

    def process_that_counted(self) -> int | None:
        """Its number, after one request; None where nobody answers yet."""
        try:
            with urllib.request.urlopen(self.url, timeout=30) as answer:  # noqa: S310 - our own
                return int(answer.read())
        except OSError:
            return None

    def counted(self) -> float:
        """All requests, as any of its processes would tell them."""
        return sum(
            one.value
            for family in MultiProcessCollector(None, path=str(self.folder)).collect()  # type: ignore[no-untyped-call]
            for one in family.samples
            if one.name in ("winrate_requests_total", "winrate_request_seconds_count")
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)


def are_gone(files: list[Path]) -> bool:
    return not any(file.exists() for file in files)


@pytest.mark.once
def test_killed_processes_leave_their_counts_and_no_files(tmp_path: Path) -> None:
    server = CountingServer(tmp_path)
    try:
        already = server.counted()
        for turn in range(1, 4):
            killed = server.process_that_counted()
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            gone = [server.folder / f"{kind}_{killed}.db" for kind in ("counter", "histogram")]
            wait_until(partial(are_gone, gone), seconds=60, what=f"{gone} are folded away")
            assert server.counted() == already + 2 * turn
    finally:
        server.stop()
    assert sorted(file.name for file in server.folder.iterdir()) == ["counter_ended.db", "histogram_ended.db"]
    assert server.counted() == already + 6 and sum(one.stat().st_size for one in server.folder.iterdir()) < 8_192


def test_counts_stay_where_they_are_while_somebody_reads_them(tmp_path: Path) -> None:
    file = tmp_path / f"counter_{2**22 + 1}.db"  # beyond the largest number of a process
    MmapedDict(str(file)).write_value('["a", "a_total", {}, "A."]', 3.0, 0.0)  # type: ignore[no-untyped-call]
    with folding.locked(tmp_path, fcntl.LOCK_SH):
        folding.fold_ended(tmp_path)
        assert list(tmp_path.iterdir()) == [file]
    folding.fold_ended(tmp_path)
    (only,) = tmp_path.iterdir()
    read = MmapedDict.read_all_values_from_file(only)  # type: ignore[no-untyped-call]
    assert (only.name, [(key, number) for key, number, _, _ in read]) == (
        "counter_ended.db",
        [('["a", "a_total", {}, "A."]', 3.0)],
    )


NO_ROOM = """
import errno, os, django; django.setup()
from evalsite.metrics import requests
def full(path):
    raise OSError(errno.ENOSPC, "No space left on device")
reserve, requests._reserve = requests._reserve, full
requests.count(route="a:page", method="GET", status=200, seconds=0.02)
print(len(list(requests.folder().iterdir())))
requests._reserve, requests._tries_again_at = reserve, 0.0
requests.count(route="a:page", method="GET", status=200, seconds=0.02)
print([file.stat().st_blocks * 512 >= requests.FILE_BYTES for file in requests.folder().iterdir()])
"""


@pytest.mark.once
def test_on_a_full_disk_requests_are_not_counted_and_no_process_dies(tmp_path: Path) -> None:
    variables = {**os.environ, "WINRATE_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "evalsite.settings"}
    command = [sys.executable, "-c", NO_ROOM]
    done = subprocess.run(command, cwd=site.BASE_DIR, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["0", "[True, True]"]


def test_a_cache_that_is_away_is_an_empty_one(settings: Any) -> None:
    options = {"socket_connect_timeout": 0.2}
    cache = ForgivingRedisCache("redis://127.0.0.1:9/1", {"OPTIONS": options})
    cache.set("a", 1)
    assert (cache.get("a"), cache.get("a", 5), cache.add("a", 1), cache.delete("a")) == (None, 5, False, False)
