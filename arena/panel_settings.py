"""What a study's provider row may say, checked; and the three ways in which a panel's work ends."""

import string
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from arena.models import Provider
from arena.refusals import Refusal

COMPLETED: Final = "completed"
FAILED: Final = "failed"
SCREENED_OUT: Final = "screened_out"
OUTCOMES: Final = (COMPLETED, FAILED, SCREENED_OUT)
PROLIFIC_RETURN: Final = "https://app.prolific.com/submissions/complete?cc={code}"
MTURK_HOSTS: Final = ("https://www.mturk.com", "https://workersandbox.mturk.com")
_PROLIFIC_KEYS: Final = {"codes", "jwks", "audience", "token_param"}
_GENERIC_KEYS: Final = {"id_param", "capture_params", "codes", "redirect_url"}
_PLACEHOLDERS: Final = {"code", "worker_id"}


class PanelError(Refusal):
    """A panel's settings, link or message that cannot be taken."""


@dataclass(frozen=True)
class PanelSettings:
    """A provider's settings with its convention filled in.

    codes: outcome -> completion code; jwks, audience: where the panel signs its links
    """

    kind: str
    id_param: str
    capture_params: tuple[str, ...]
    codes: dict[str, str]
    redirect_url: str = ""
    jwks: dict[str, Any] | None = None
    audience: str = ""
    token_param: str = "prolific_token"  # noqa: S105 -- the name of a parameter

    def way_back(self, outcome: str, *, worker_id: str, captured: dict[str, str]) -> str:
        """The address that tells the panel how it ended, or nothing where there is no code or address for it.

        Only what fills the placeholders is the visitor's, percent-encoded behind a fixed host: no open redirect.
        """
        code = self.codes.get(outcome, "")
        if not code or not self.redirect_url:
            return ""
        said = {**dict.fromkeys(self.capture_params, ""), **captured, "code": code, "worker_id": worker_id}
        return self.redirect_url.format_map({key: quote(value, safe="") for key, value in said.items()})


def settings_of(provider: Provider) -> PanelSettings:
    """A provider's settings. A PanelError names the entry that cannot be read."""
    said = provider.settings
    if not isinstance(said, dict):
        raise _refusal("The panel's settings must be a JSON object.")
    if provider.kind == Provider.Kind.PROLIFIC:
        _only(said, _PROLIFIC_KEYS)
        return PanelSettings(
            kind=provider.kind,
            id_param="PROLIFIC_PID",
            capture_params=("STUDY_ID", "SESSION_ID"),
            codes=_codes(said),
            redirect_url=PROLIFIC_RETURN,
            jwks=_jwks(said),
            audience=_text(said, "audience", needed="jwks" in said),
            token_param=_text(said, "token_param") or PanelSettings.token_param,
        )
    if provider.kind == Provider.Kind.MTURK:
        _only(said, set())
        return PanelSettings(
            kind=provider.kind,
            id_param="workerId",
            capture_params=("assignmentId", "hitId", "turkSubmitTo"),
            codes={},
        )
    _only(said, _GENERIC_KEYS)
    captured = said.get("capture_params", [])
    if not isinstance(captured, list) or not all(isinstance(name, str) and name.isidentifier() for name in captured):
        raise _refusal("“capture_params” must be a list of parameter names of letters, digits and underscores.")
    return PanelSettings(
        kind=provider.kind,
        id_param=_text(said, "id_param", needed=True),
        capture_params=tuple(captured),
        codes=_codes(said),
        redirect_url=_redirect_url(said, known=_PLACEHOLDERS | set(captured)),
    )


def _codes(said: dict[str, Any]) -> dict[str, str]:
    codes = said.get("codes", {})
    is_named = isinstance(codes, dict) and set(codes) <= set(OUTCOMES)
    if not is_named or not all(isinstance(code, str) and code.strip() for code in codes.values()):
        raise _refusal(f"“codes” must map {', '.join(OUTCOMES)} to the panel's completion codes.")
    return dict(codes)


def _jwks(said: dict[str, Any]) -> dict[str, Any] | None:
    jwks = said.get("jwks")
    if jwks is not None and not (isinstance(jwks, dict) and isinstance(jwks.get("keys"), list) and jwks["keys"]):
        raise _refusal("“jwks” must be the panel's key set: an object with a list “keys”.")
    return jwks


def _redirect_url(said: dict[str, Any], *, known: set[str]) -> str:
    url = _text(said, "redirect_url")
    if not url:
        return ""
    try:
        named = {name for _, name, _, _ in string.Formatter().parse(url) if name is not None}
        parts = urlsplit(url)
    except ValueError as error:
        raise _refusal(f"“redirect_url” cannot be read: {error}.") from error
    if unknown := sorted(named - known):
        raise _refusal(f"“redirect_url” has a placeholder {{{unknown[0]}}}; known are {', '.join(sorted(known))}.")
    if parts.scheme != "https" or not parts.hostname or "{" in parts.netloc or "@" in parts.netloc:
        raise _refusal("“redirect_url” must begin with https:// and a fixed host.")
    return url


def _text(said: dict[str, Any], name: str, *, needed: bool = False) -> str:
    text = said.get(name, "")
    if not isinstance(text, str) or (needed and not text.strip()):
        raise _refusal(f"“{name}” must be a text.")
    return text


def _only(said: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(said) - known):
        raise _refusal(f"Unknown entry {unknown[0]!r}; known are {', '.join(sorted(known)) or 'none'}.")


def _refusal(sentence: str) -> PanelError:
    return PanelError(sentence, code="bad_panel_settings", field="settings")
