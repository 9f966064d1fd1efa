"""nginx in front of gunicorn, for real and as in deploy/: who gets which image, and what its answer says."""

import re
import socket

import boto3
import pytest
from pytest_django.fixtures import Settings

from arena import display, raters
from arena.models import Ballot, NetworkCount, Study
from generation import image_store
from tests.arena.factories import make_study
from tests.deployment.conftest import Browser, Reply, Site, StartSite
from tests.generation.test_image_store import use_s3
from tests.servers.nginx import TEMPLATE
from tests.servers.s3_server import CREDENTIALS, S3Server

pytestmark = pytest.mark.once
METRICS_TOKEN = "Rk7w-Jq2vXc9LtZ_s4PhGy6bNd8Me1fUa3oW5iTx"
ALLOWED = {
    *("Server", "Date", "Content-Type", "Content-Length", "Connection", "Cache-Control", "Content-Disposition"),
    *("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "X-Frame-Options"),
    "Strict-Transport-Security",
}
"""Anything else could tell files apart (ETag, Last-Modified, what a bucket adds) or lead past the site."""


def joined(site: Site, study: Study) -> Browser:
    browser = site.browser()
    browser.join(f"/join/{raters.invite(study=study)[1]}/")
    return browser


def shown_ballot(browser: Browser, study: Study) -> Ballot:
    page = browser.get(f"/vote/{study.slug}/")
    found = re.search(r'data-ballot="([0-9a-f]{32})"', page.text)
    assert found, page.text
    return Ballot.objects.select_related("left_image", "right_image").get(token=found[1])


def copy_bytes(ballot: Ballot, study: Study, side: str) -> tuple[str, bytes]:
    copy = display.copy_of(getattr(ballot, f"{side}_image"), study=study)
    assert copy is not None
    return image_store.name_of(copy.file_sha256, suffix=".webp"), display.read_copy(copy)


def assert_is_a_raters_image(reply: Reply, content: bytes) -> None:
    assert (reply.status, reply.body) == (200, content)
    headers = reply.headers
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("image/webp", "private, max-age=3600")
    assert headers["Content-Disposition"] == 'inline; filename="image.webp"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert set(headers) - ALLOWED == set()


def plain_status(site: Site) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", site.nginx.http), timeout=30) as line:
        line.sendall(b"GET /vote/ HTTP/1.1\r\nHost: arena.test\r\nConnection: close\r\n\r\n")
        answer = line.makefile("rb").read().decode()
    return int(answer.split()[1]), answer


def test_images_come_from_nginx_and_rules_from_the_site(start_site: StartSite) -> None:
    study = make_study(rules={"new_raters_per_network_and_hour": 50})
    site = start_site()
    assert site.nginx.warnings == []
    status, answer = plain_status(site)
    assert status == 301 and "Location: https://arena.test/vote/" in answer

    browser, other = joined(site, study), joined(site, study)
    assert {"sessionid", "csrftoken"} <= set(browser.cookies)
    ballot = shown_ballot(browser, study)
    headers: list[set[tuple[str, str]]] = []
    for side in ("left", "right"):
        path = f"/ballots/{ballot.token}/{side}.webp"
        name, content = copy_bytes(ballot, study, side)
        reply = browser.get(path)
        assert_is_a_raters_image(reply, content)
        headers.append({pair for pair in reply.headers.items() if pair[0] not in ("Content-Length", "Date")})
        # No part of it and no "not modified", which both would need a validator.
        asked = browser.get(path, Range="bytes=0-9", If_Modified_Since="Thu, 01 Jan 2099 00:00:00 GMT")
        assert (asked.status, asked.body) == (200, content)
        for stranger in (other, site.browser()):
            refused, invented = stranger.get(path), stranger.get(f"/ballots/{'0' * 32}/left.webp")
            assert (refused.status, refused.body) == (404, invented.body)
        for way in (f"/_images/{name}", f"/_bucket/{name}", f"/static/../_images/{name}", f"/static../images/{name}"):
            assert browser.get(way, X_Accel_Redirect=f"/_images/{name}").status == 404
    assert headers[0] == headers[1]

    assert browser.get("/static../winrate.sqlite3").status == browser.get("/static/%2e%2e/nginx.conf").status == 404
    token = re.search(r"data-ballot=\"(\w+)\"", browser.get(f"/vote/{study.slug}/").text)
    written = site.nginx.access_log()
    assert token and "/ballots" in written and "/join" in written
    assert token[1] not in written and "127.0.0.1" not in written and ballot.token not in written


def test_a_request_is_bounded_and_nobody_chooses_an_address(start_site: StartSite) -> None:
    study = make_study(rules={"new_raters_per_network_and_hour": 50})
    site = start_site(WINRATE_METRICS_TOKEN=METRICS_TOKEN)
    _, token = raters.invite(study=study)
    for told in ("198.51.100.7", "203.0.113.9, 198.51.100.7"):
        browser = site.browser()
        page = browser.get(f"/join/{token}/")
        reply = browser.submit(f"/join/{token}/", page, {"X-Forwarded-For": told})
        assert reply.status == 302, told
    assert list(NetworkCount.objects.values_list("number", flat=True)) == [2]

    # No address is let in for itself: behind nginx everybody seems to be this machine.
    counted = site.request("GET", "/metrics", {"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert (site.request("GET", "/metrics").status, counted.status) == (401, 200)
    assert "winrate_votes_total" in counted.text

    assert site.request("POST", "/accounts/login/", body=bytes(5 * 2**20)).status == 413
    stylesheet = site.nginx.static / "site.0123456789ab.css"
    stylesheet.write_text("p { margin: 0 }")
    (site.nginx.static / "site.css").write_text("p { margin: 0 }")
    kept, plain = site.request("GET", "/static/site.0123456789ab.css"), site.request("GET", "/static/site.css")
    assert (kept.status, plain.status) == (200, 200)
    assert "immutable" in kept.headers["Cache-Control"] and "Cache-Control" not in plain.headers
    assert site.request("GET", "/static/").status in (403, 404)
    assert "max-age=31536000" in site.request("GET", "/accounts/login/").headers["Strict-Transport-Security"]


def test_images_of_a_bucket_are_kept_by_their_hash(
    start_site: StartSite, s3_server: S3Server, settings: Settings
) -> None:
    use_s3(s3_server, settings, bucket="behind")
    study = make_study(prompts=1, contenders=2)
    endpoint = s3_server.endpoint_url
    site = start_site(
        bucket_url=f"{endpoint}/behind",
        STORAGE_URL=f"s3://behind?endpoint_url={endpoint}&addressing_style=path",
        **CREDENTIALS,
    )
    browser, other = joined(site, study), joined(site, study)
    ballot = shown_ballot(browser, study)
    path = f"/ballots/{ballot.token}/left.webp"
    name, content = copy_bytes(ballot, study, "left")
    assert_is_a_raters_image(browser.get(path), content)
    assert site.browser().get(f"/_bucket/{name}").status == 404

    right, _ = copy_bytes(ballot, study, "right")
    bucket = boto3.resource("s3", endpoint_url=endpoint).Bucket("behind")
    bucket.objects.all().delete()
    assert_is_a_raters_image(browser.get(path), content)
    missing = browser.get(f"/ballots/{ballot.token}/right.webp")
    assert missing.status == 404 and b"behind" not in missing.body and right not in missing.text
    # What is kept is nobody's by itself: the next rater with this pair asks the site, anybody else is refused.
    assert other.get(path).status == 404


def with_tiny_limits(site: str) -> str:
    """As many at once as a test can send, and nothing given back while it runs."""
    site = re.sub(r"rate=\d+r/s", "rate=1r/m", site)
    for zone, burst in (("doors", 1), ("pages", 2), ("pictures", 4)):
        site = re.sub(rf"zone=winrate_{zone} burst=\d+", f"zone=winrate_{zone} burst={burst}", site)
    return site


def test_too_many_requests_are_refused_in_a_sentence_and_doors_first(start_site: StartSite) -> None:
    site = start_site(change=with_tiny_limits)
    (site.nginx.static / "site.css").write_text("p { margin: 0 }")

    def let_in(*paths: str) -> int:
        replies = [site.request("GET", path) for path in paths * 7]
        refused = [reply for reply in replies if reply.status == 429]
        for reply in refused:
            assert reply.text.startswith("Too many requests came from your network at once. Wait a few seconds")
            assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert (reply.headers["Retry-After"], reply.headers["Cache-Control"]) == ("5", "no-store")
            assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        return len(replies) - len(refused)

    doors = ("/accounts/login/", "/accounts/new/MQ/a-b/", "/admin/login/", f"/join/{'a' * 32}/", "/panel/x/")
    assert let_in(*doors, "/turk/x/") == 2  # one and a burst of one, all doors together
    assert let_in("/", "/panel/x/messages/", "/api/v1/studies") == 3
    assert let_in(f"/ballots/{'0' * 32}/left.webp", f"/examples/{'0' * 32}.webp") == 5
    assert let_in("/static/site.css") == 7
    assert "127.0.0.1" not in (site.nginx.folder / "winrate-error.log").read_text()


def test_the_limits_leave_room_for_fifty_raters_behind_one_address() -> None:
    text = TEMPLATE.read_text()
    rates = dict(re.findall(r"zone=winrate_(\w+):\S+ rate=(\d+)r/s", text))
    bursts = dict(re.findall(r"limit_req zone=winrate_(\w+) burst=(\d+) nodelay", text))
    people, seconds_for_a_pair = 50, 2
    asked = {"pages": 3, "pictures": 2}  # the answer, the next pairs, now and then the page; both images
    for zone, number in asked.items():
        assert int(rates[zone]) >= people * number / seconds_for_a_pair
        assert int(bursts[zone]) >= 4 * people * number  # all open the page at once, which fetches pairs ahead
    assert int(bursts["doors"]) >= 3 * people  # the link, the consent, and once more
    assert int(rates["doors"]) < int(rates["pages"]) < int(rates["pictures"])
