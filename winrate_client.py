"""Winrate's API from Python: one file to copy, of the standard library alone, for Python 3.11 and later.

    from winrate_client import Winrate

    site = Winrate("https://arena.example.org", token="winrate_...")
    prompts = site.upload_prompts("animals.txt", name="Animals")
    site.create_study(slug="mine", name="Mine", prompt_set=prompts["id"], contenders=[...])

Every call returns what the API answers as plain dictionaries and lists, or raises WinrateError with the sentence, the
code and the fields of the problem. Answers to GET, ballots and votes are safe to ask for again, so those are retried
when the network or the server is in trouble; nothing else is. A token is sent to the given address and nowhere else.
"""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, cast

__all__ = ["Winrate", "WinrateError"]

Json = dict[str, Any]
Picture = str | Path | bytes
RETRIED = (429, 502, 503, 504)


class WinrateError(Exception):
    """A refusal of the API, or an answer that is none. `status` is 0 where nothing was answered at all."""

    def __init__(self, detail: str, *, status: int = 0, code: str = "", errors: Sequence[Json] = ()) -> None:
        super().__init__(detail)
        self.status, self.code, self.errors = status, code, list(errors)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The API redirects nowhere; a token must not follow to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass
class Winrate:
    """One site, by one token. `attempts` is how often a safe request is sent before giving up."""

    address: str
    token: str = field(repr=False)
    timeout: float = 60.0
    attempts: int = 4

    def __post_init__(self) -> None:
        if urllib.parse.urlsplit(self.address).scheme not in ("http", "https"):
            raise ValueError(f"The address begins with http:// or https://, not {self.address!r}.")
        self.address = self.address.rstrip("/")
        self._opener = urllib.request.build_opener(_NoRedirect())

    # --- prompt sets ---------------------------------------------------------------------------------------------
    def prompt_sets(self) -> Iterator[Json]:
        """Your prompt sets and those of the whole site."""
        return self._pages("/prompt-sets")

    def prompts(self, prompt_set: int) -> Iterator[Json]:
        """The prompts of a set in their order."""
        return self._pages(f"/prompt-sets/{prompt_set}/prompts")

    def upload_prompts(
        self,
        file: str | Path,
        *,
        name: str,
        licence: str = "",
        source: str = "",
        columns: Mapping[str, str] | None = None,
        drops_duplicates: bool = False,
    ) -> Json:
        """Save a prompt file; the same prompts under the same name are the set that is there already.

        columns: meaning to column, where the file's own names do not tell, such as {"text": "caption"}
        """
        fields = {"name": name, "licence": licence, "source": source, **_reading(columns, drops_duplicates)}
        return self._form("/prompt-sets", fields, [_file(file)])

    def preview_prompts(
        self, file: str | Path, *, columns: Mapping[str, str] | None = None, drops_duplicates: bool = False
    ) -> Json:
        """What a prompt file would become, with every bad line; nothing is saved."""
        return self._form("/prompt-sets/preview", _reading(columns, drops_duplicates), [_file(file)])

    # --- what makes images ---------------------------------------------------------------------------------------
    def checkpoints(self) -> Iterator[Json]:
        """Checkpoints of the site and your own."""
        return self._pages("/checkpoints")

    def add_checkpoint(self, *, name: str, source: str, **facts: Any) -> Json:
        """A draft that a worker checks; `source` is a folder of the site or `owner/name@COMMIT`."""
        return self._json("POST", "/checkpoints", {"name": name, "source": source, **facts})

    def recipes(self) -> Iterator[Json]:
        """Recipes of the checkpoints that you see."""
        return self._pages("/recipes")

    def add_recipe(self, *, name: str, checkpoint: int, steps: int, width: int, height: int, **settings: Any) -> Json:
        """The recipe with exactly these settings."""
        size = {"steps": steps, "width": width, "height": height}
        return self._json("POST", "/recipes", {"name": name, "checkpoint": checkpoint, **size, **settings})

    def runs(self) -> Iterator[Json]:
        """Your runs and those of studies that you see, newest first."""
        return self._pages("/runs")

    def run(self, run: int) -> Json:
        """How a run stands."""
        return self._json("GET", f"/runs/{run}")

    def start_run(self, *, name: str, prompt_set: int, recipes: Sequence[int], samples: int = 1) -> Json:
        """Ask for images."""
        wish = {"name": name, "prompt_set": prompt_set, "recipes": list(recipes), "samples": samples}
        return self._json("POST", "/runs", wish)

    def steer_run(self, run: int, act: Literal["pause", "resume", "cancel", "retry"]) -> str:
        """Returns what happened, in a sentence."""
        return cast(str, self._json("POST", f"/runs/{run}/steer", {"act": act})["detail"])

    # --- contenders whose images are made elsewhere ----------------------------------------------------------------
    def contenders(self) -> Iterator[Json]:
        """Your contenders whose images are made elsewhere."""
        return self._pages("/contenders")

    def create_contender(self, name: str, *, notes: str = "") -> Json:
        """A new contender, or the one of this name that you have."""
        return self._json("POST", "/contenders", {"name": name, "notes": notes})

    def upload_images(
        self,
        contender: int,
        images: Mapping[int, Picture] | Mapping[str, Picture],
        *,
        prompt_set: int,
        sample: int = 0,
    ) -> Json:
        """Upload one image for each prompt, named by its position in the set or by its text, up to 16 at a time.

        Returns how many were stored, and how many were there already.
        """
        total = {"stored": 0, "already_there": 0}
        items = list(images.items())
        for start in range(0, len(items), 16):
            rows: list[Json] = []
            files: list[tuple[str, str, bytes]] = []
            for number, (prompt, image) in enumerate(items[start : start + 16]):
                name = f"{number}.png"
                key = "prompt_id" if isinstance(prompt, int) else "prompt"
                rows.append({"file": name, key: prompt, "sample": sample})
                files.append(("files", name, image if isinstance(image, bytes) else Path(image).read_bytes()))
            fields = {"prompt_set": str(prompt_set), "rows": json.dumps(rows)}
            done = self._form(f"/contenders/{contender}/images", fields, files)
            total = {name: count + done[name] for name, count in total.items()}
        return total

    def images(self, contender: int) -> Iterator[Json]:
        """The images of a contender."""
        return self._pages(f"/contenders/{contender}/images")

    def coverage(self, contender: int, *, prompt_set: int, samples: int = 1) -> Json:
        """Which images of a prompt set are there and which are missing."""
        query = {"prompt_set": prompt_set, "samples": samples}
        return self._json("GET", f"/contenders/{contender}/coverage", query=query)

    # --- studies ---------------------------------------------------------------------------------------------------
    def studies(self) -> Iterator[Json]:
        """Your studies and those shared with you, newest first."""
        return self._pages("/studies")

    def study(self, slug: str) -> Json:
        """One study with its questions and contenders."""
        return self._json("GET", f"/studies/{_part(slug)}")

    def create_study(
        self, *, slug: str, name: str, prompt_set: int, contenders: Sequence[Mapping[str, Any]], **more: Any
    ) -> Json:
        """A draft. Contenders are {"label", "recipe", "is_baseline"}; `more` is preset, criteria, design and others."""
        wish = {"slug": slug, "name": name, "prompt_set": prompt_set, "contenders": [dict(row) for row in contenders]}
        return self._json("POST", "/studies", wish | more)

    def open_study(self, slug: str) -> Json:
        """Freeze and hash the design and let raters in."""
        return self._json("POST", f"/studies/{_part(slug)}/open")

    def pause_study(self, slug: str) -> Json:
        """Hand out and take no ballots for now."""
        return self._json("POST", f"/studies/{_part(slug)}/pause")

    def resume_study(self, slug: str) -> Json:
        """Go on after a pause."""
        return self._json("POST", f"/studies/{_part(slug)}/resume")

    def close_study(self, slug: str) -> Json:
        """End voting for good."""
        return self._json("POST", f"/studies/{_part(slug)}/close")

    def ask_for_images(self, slug: str) -> Json:
        """Ask for every image that the study wants and lacks; how the run stands."""
        return self._json("POST", f"/studies/{_part(slug)}/images")

    def study_coverage(self, slug: str) -> Json:
        """Which images a study lacks."""
        return self._json("GET", f"/studies/{_part(slug)}/coverage")

    def results(self, slug: str) -> list[Json]:
        """The newest fit of each criterion."""
        return cast(list[Json], self._json("GET", f"/studies/{_part(slug)}/results")["items"])

    def save_votes(
        self,
        slug: str,
        file: str | Path,
        *,
        shape: Literal["votes", "pickapic", "dpo"] = "votes",
        public: bool = False,
    ) -> Path:
        """The counted votes as a file whose ending (.csv, .jsonl, .parquet) says in which form."""
        path = Path(file)
        query = {"format": path.suffix.removeprefix("."), "shape": shape, "public": str(public).lower()}
        return self._save(f"/studies/{_part(slug)}/votes", query, path)

    def save_bundle(self, slug: str, file: str | Path, *, images: bool = False, public: bool = False) -> Path:
        """The study's bundle, which `manage.py import_study` takes in."""
        query = {"images": str(images).lower(), "public": str(public).lower()}
        return self._save(f"/studies/{_part(slug)}/bundle", query, Path(file))

    # --- raters and known answers ----------------------------------------------------------------------------------
    def rater_table(self, slug: str) -> Iterator[Json]:
        """Everybody who answered, with numbers and suspicions."""
        return self._pages(f"/studies/{_part(slug)}/rater-table")

    def exclusions(self, slug: str) -> Iterator[Json]:
        """What was taken out of the study's fits or back in, by whom and why."""
        return self._pages(f"/studies/{_part(slug)}/exclusions")

    def exclude(
        self, slug: str, *, scope: Literal["rater", "ballot", "vote", "image"], target: str, reason: str
    ) -> Json:
        """Take votes out of fits; the exclusion's `id` is what `readmit` takes."""
        said = {"scope": scope, "target": target, "reason": reason}
        return self._json("POST", f"/studies/{_part(slug)}/exclusions", said)

    def readmit(self, slug: str, exclusion: int, *, reason: str) -> Json:
        """Take excluded votes back in."""
        return self._json("POST", f"/studies/{_part(slug)}/exclusions/{exclusion}/readmit", {"reason": reason})

    def gold(self, slug: str) -> Iterator[Json]:
        """The study's known answers."""
        return self._pages(f"/studies/{_part(slug)}/gold")

    def propose_gold(
        self, slug: str, *, prompt: int, first: int, second: int, answers: Mapping[str, str], sample: int = 0
    ) -> Json:
        """Propose a known answer. Prompt and contenders are named by their positions in the study."""
        pair = {"prompt": prompt, "first": first, "second": second, "sample": sample}
        return self._json("POST", f"/studies/{_part(slug)}/gold", pair | {"answers": dict(answers)})

    def review_gold(self, slug: str, gold: int) -> Json:
        """Agree with a proposal: raters may be shown it."""
        return self._json("POST", f"/studies/{_part(slug)}/gold/{gold}/review")

    def retire_gold(self, slug: str, gold: int) -> Json:
        """Show this pair to nobody any more."""
        return self._json("POST", f"/studies/{_part(slug)}/gold/{gold}/retire")

    # --- standing leaderboards -------------------------------------------------------------------------------------
    def boards(self) -> Iterator[Json]:
        """The boards all of whose studies you may see."""
        return self._pages("/boards")

    def board(self, slug: str) -> Json:
        """A board with the newest fit of each question."""
        return self._json("GET", f"/boards/{_part(slug)}")

    def create_board(self, *, name: str, studies: Sequence[str], criteria: Sequence[str], **more: Any) -> Json:
        """A board over studies by their short names; `more` is slug, description, reference."""
        return self._json("POST", "/boards", {"name": name, "studies": [*studies], "criteria": [*criteria], **more})

    def save_board(self, slug: str, file: str | Path) -> Path:
        """Its tables and fits with the votes behind them, which `manage.py board check` fits again."""
        return self._save(f"/boards/{_part(slug)}/export", {}, Path(file))

    def publish_board(self, slug: str) -> Json:
        """Let everybody read it without signing in; for administrators."""
        return self._json("POST", f"/boards/{_part(slug)}/publish")

    def unpublish_board(self, slug: str) -> Json:
        """Let nobody read it but those who may see all its studies; for administrators."""
        return self._json("POST", f"/boards/{_part(slug)}/unpublish")

    # --- studies from elsewhere ------------------------------------------------------------------------------------
    def import_votes(
        self, file: str | Path, *, slug: str, name: str = "", baseline: str = "", source: str = ""
    ) -> Json:
        """Votes or ratings as a closed study without images."""
        fields = {"slug": slug, "name": name, "baseline": baseline, "source": source}
        return self._form("/imports/votes", fields, [_file(file)])

    def import_bundle(self, file: str | Path, *, slug: str = "") -> Json:
        """A study's bundle as a closed study, fitted anew and compared."""
        return self._form("/imports/bundle", {"slug": slug}, [_file(file)])

    # --- raters of a front end of your own -------------------------------------------------------------------------
    def consent(self, slug: str) -> Json:
        """The text that raters must agree to, and its version."""
        return self._json("GET", f"/studies/{_part(slug)}/consent")

    def enrol_rater(self, slug: str, *, consent_version: str) -> str:
        """A rater who agreed to that version of the text; returns the rater's id."""
        agreed = {"consent_version": consent_version}
        return cast(str, self._json("POST", f"/studies/{_part(slug)}/raters", agreed)["rater"])

    def ballots(self, slug: str, rater: str) -> list[Json]:
        """The rater's open ballots, the one to answer now first; empty when there is nothing to do."""
        here = f"/studies/{_part(slug)}/raters/{_part(rater)}/ballots"
        return cast(list[Json], self._json("POST", here, retries=True)["items"])

    def ballot_image(self, slug: str, rater: str, ballot: str, side: Literal["left", "right"]) -> bytes:
        """The WebP file of one side of an open ballot."""
        here = f"/studies/{_part(slug)}/raters/{_part(rater)}/ballots/{_part(ballot)}/{side}"
        return self._request("GET", here)

    def vote(
        self,
        slug: str,
        rater: str,
        ballot: str,
        answers: Mapping[str, str] | None = None,
        *,
        skip_reason: str = "",
        milliseconds: int | None = None,
    ) -> Json:
        """Store the answers to a ballot; it is safe to send them again."""
        said = {"answers": dict(answers or {}), "skip_reason": skip_reason, "page_milliseconds": milliseconds}
        here = f"/studies/{_part(slug)}/raters/{_part(rater)}/ballots/{_part(ballot)}"
        return self._json("POST", here, said, retries=True)

    # --- requests --------------------------------------------------------------------------------------------------
    def _pages(self, path: str) -> Iterator[Json]:
        offset = 0
        while True:
            page = self._json("GET", path, query={"limit": 500, "offset": offset})
            yield from page["items"]
            offset += len(page["items"])
            if not page["items"] or offset >= page["count"]:
                return

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        retries: bool = False,
    ) -> Json:
        data = None if body is None else json.dumps(dict(body)).encode()
        answer = self._request(method, path, data, "application/json", query=query, retries=retries)
        return cast(Json, json.loads(answer))

    def _form(self, path: str, fields: Mapping[str, str], files: Sequence[tuple[str, str, bytes]]) -> Json:
        boundary = secrets.token_hex(16)
        parts = [_part_of_form(boundary, name, value.encode()) for name, value in fields.items() if value]
        parts += [_part_of_form(boundary, name, data, file_name) for name, file_name, data in files]
        data = b"".join(parts) + f"--{boundary}--\r\n".encode()
        answer = self._request("POST", path, data, f"multipart/form-data; boundary={boundary}")
        return cast(Json, json.loads(answer))

    def _save(self, path: str, query: Mapping[str, Any], file: Path) -> Path:
        """A file appears whole or not at all."""
        draft = file.with_name(f".{file.name}.part")
        try:
            with self._answer("GET", path, query=query) as answer, draft.open("wb") as out:
                while chunk := answer.read(1 << 20):
                    out.write(chunk)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
        return file

    def _request(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        content_type: str = "",
        *,
        query: Mapping[str, Any] | None = None,
        retries: bool = False,
    ) -> bytes:
        attempts = self.attempts if method == "GET" or retries else 1
        for attempt in range(1, attempts + 1):
            try:
                with self._answer(method, path, data, content_type, query=query) as answer:
                    return cast(bytes, answer.read())
            except WinrateError as error:
                if attempt == attempts or error.status not in (0, *RETRIED):
                    raise
                time.sleep(2.0 ** (attempt - 1))
        raise AssertionError("unreachable")

    def _answer(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        content_type: str = "",
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        address = f"{self.address}/api/v1{path}"
        if query:
            address += "?" + urllib.parse.urlencode(query)
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type
        if data is None and method == "POST":
            data = b""
        asked = urllib.request.Request(address, data=data, headers=headers, method=method)  # noqa: S310 - http(s) only
        try:
            return self._opener.open(asked, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, HTTPException) as error:
            raise WinrateError(f"{self.address} does not answer: {error}.") from error


def _refusal(error: urllib.error.HTTPError) -> WinrateError:
    try:
        said = json.loads(error.read())
        return WinrateError(said["detail"], status=error.code, code=said["code"], errors=said["errors"])
    except (ValueError, KeyError, TypeError):
        return WinrateError(f"The server answered {error.code} {error.reason}.", status=error.code)


def _file(file: str | Path) -> tuple[str, str, bytes]:
    path = Path(file)
    return "file", path.name, path.read_bytes()


def _reading(columns: Mapping[str, str] | None, drops_duplicates: bool) -> dict[str, str]:
    """How a prompt file is to be understood, as fields of a form."""
    return {"columns": json.dumps(dict(columns or {})), "drops_duplicates": str(drops_duplicates).lower()}


def _part(text: str) -> str:
    """One part of an address, whatever stands in it."""
    return urllib.parse.quote(text, safe="")


def _part_of_form(boundary: str, name: str, data: bytes, file_name: str = "") -> bytes:
    safe = file_name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
    file = f'; filename="{safe}"\r\nContent-Type: application/octet-stream' if file_name else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + data + b"\r\n"
