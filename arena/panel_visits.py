"""A visit from a panel: who it says it sends, and whether it signed that."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import jwt
from django.utils.translation import gettext as _
from jwt.exceptions import PyJWTError

from arena.panel_settings import MTURK_HOSTS, PanelError, PanelSettings

PREVIEW: Final = "ASSIGNMENT_ID_NOT_AVAILABLE"
LONGEST_PARAMETER: Final = 200
_ALGORITHMS: Final = ["RS256", "PS256", "ES256"]  # public keys only: with HS256 the published key would be the secret


@dataclass(frozen=True)
class PanelVisit:
    """Who a panel sent: its id for the person, the other parameters that are kept, whether the panel signed it."""

    kind: str
    external_id: str
    captured: dict[str, str] = field(default_factory=dict)
    is_signed: bool = False


def read_visit(settings: PanelSettings, parameters: Mapping[str, str]) -> PanelVisit:
    """The visit that a link's parameters describe. Where the panel signs its links, an unsigned one is refused."""
    external_id = _parameter(parameters, settings.id_param)
    if not external_id:
        raise PanelError(
            _("The link lacks %(name)s: open the study from your panel's page again.") % {"name": settings.id_param},
            code="no_panel_id",
        )
    captured = {name: value for name in settings.capture_params if (value := _parameter(parameters, name))}
    if settings.jwks is not None:
        _check_signature(settings, parameters, said={settings.id_param: external_id, **captured})
    return PanelVisit(settings.kind, external_id, captured, is_signed=settings.jwks is not None)


def turk_address(captured: Mapping[str, str]) -> str:
    """Where the task is handed in. Only the two hosts of Mechanical Turk are taken: anything else would be an open
    redirect, and is refused before the first ballot."""
    host = captured.get("turkSubmitTo", "").removesuffix("/")
    if host not in MTURK_HOSTS:
        raise PanelError(
            _("The link's turkSubmitTo is not Mechanical Turk's: open the task from its page again."),
            code="bad_submit_to",
        )
    return f"{host}/mturk/externalSubmit"


def _check_signature(settings: PanelSettings, parameters: Mapping[str, str], *, said: dict[str, str]) -> None:
    token = parameters.get(settings.token_param, "")
    try:
        header = jwt.get_unverified_header(token)
        keys = jwt.PyJWKSet.from_json(json.dumps(settings.jwks))
        key = keys[header["kid"]] if "kid" in header else keys.keys[0]
        claims = jwt.decode(
            token,
            key.key,
            algorithms=_ALGORITHMS,
            audience=settings.audience,
            options={"require": ["exp", "aud", "prolific"]},
        )
    except (PyJWTError, KeyError) as refused:
        raise PanelError(
            _(
                "The panel's signature on this link is missing, wrong or too old: open the study from your panel's "
                "page again."
            ),
            code="bad_signature",
        ) from refused
    signed = claims["prolific"]
    if not isinstance(signed, dict) or any(signed.get(name) != value for name, value in said.items()):
        raise PanelError(
            _("The panel signed this link for somebody else: open the study from your panel's page again."),
            code="signed_for_another",
        )


def _parameter(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name, "").strip()
    if len(value) > LONGEST_PARAMETER or "\x00" in value:
        raise PanelError(
            _("%(name)s in the link is too long: open the study from your panel's page again.") % {"name": name},
            code="too_long",
        )
    return value
