"""What the vote page's script says, in the language of the page."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def script_words() -> dict[str, str]:
    """Name in the script -> sentence. `{count}` stays for the script to fill in."""
    return {
        "saving": _("Saving…"),
        "saved": _("✓ Saved"),
        "already": _("✓ Already recorded"),
        "notSaved": _("Not saved"),
        "reload": _("Not saved yet: reload this page. Your answers are kept."),
        "lateOne": ngettext(
            "{count} answer is not saved yet. Kept here and tried again.",
            "{count} answers are not saved yet. Kept here and tried again.",
            1,
        ),
        "lateMany": ngettext(
            "{count} answer is not saved yet. Kept here and tried again.",
            "{count} answers are not saved yet. Kept here and tried again.",
            2,
        ),
        "notTaken": _("The server did not take this answer. Reload the page."),
        "notLoaded": _("An image did not load. Check the connection and reload this page, or report the image."),
        "sayWhy": _("Choose why you skip this pair."),
        "sayWhat": _("Choose what is wrong with the image."),
        "undoing": _("Undoing…"),
        "undone": undone(),
        "undoLater": _("This will be undone once it is saved."),
        "undoFailed": _("Not undone: the server cannot be reached. Press U to try again."),
        "nothingToUndo": _("There is nothing to undo."),
        "firstFailed": _("The server cannot be reached. Your answers are kept here: try again."),
    }


def undone() -> str:
    return _("↶ Undone: here is the pair again.")


def waiting_words() -> dict[str, str]:
    """The same for the page that waits for images."""
    return {
        "waiting": _("Waiting for images"),
        "unreachable": _("The server cannot be reached just now; trying again"),
    }
