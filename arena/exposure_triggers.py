"""Triggers that write down how often pairs are shown, whichever code moves a ballot.

SQLite drops a table's triggers when a migration rebuilds the table, and refuses to rename a table into the place of one
that a trigger elsewhere names: a migration that alters ballots or votes runs `drop` first and `create` last.
"""

from typing import Any, Final

_COLUMNS: Final = (
    "study_id, study_prompt_id, stratum, low_image, high_image, low_contender, high_contender, "
    "standing, low_left, towards, is_sum"
)
_STANDING: Final = "{row}.state IN ('open', 'answered')"
_ISSUED: Final = "{row}.purpose = 'ordinary' AND {row}.origin = 'issued'"
_IS_SKIPPED: Final = "EXISTS (SELECT 1 FROM arena_vote v WHERE v.ballot_id = {row}.id AND v.choice = 'skip')"
_LOW_LEFT: Final = "CASE WHEN {row}.left_image_id < {row}.right_image_id THEN 1 ELSE 0 END"
_SIGN: Final = f"CASE WHEN {_STANDING} THEN 1 ELSE -1 END"

# name -> (event, when, what to append)
_TRIGGERS: Final = {
    "arena_ballot_exposes": (
        "AFTER INSERT ON arena_ballot",
        f"{_ISSUED} AND {_STANDING}".format(row="NEW"),
        f"VALUES ({{pair}}, 1, {_LOW_LEFT}, 1, {{no}})".replace("{row}", "NEW"),
    ),
    "arena_ballot_moves": (
        "AFTER UPDATE OF state ON arena_ballot",
        f"{_ISSUED.format(row='NEW')} AND ({_STANDING.format(row='OLD')}) <> ({_STANDING.format(row='NEW')})",
        "VALUES ({pair}, "
        + _SIGN.format(row="NEW")
        + f", ({_SIGN}) * ({_LOW_LEFT})".format(row="NEW")
        + ", CASE WHEN "
        + _IS_SKIPPED.format(row="NEW")
        + " THEN 0 ELSE "
        + _SIGN.format(row="NEW")
        + " END, {no})",
    ),
    # All votes of a ballot are skips or none is: the first of them takes it out of the target.
    "arena_vote_skips": (
        "AFTER INSERT ON arena_vote",
        "NEW.choice = 'skip'",
        "SELECT {pair_b}, 0, 0, -1, {no} FROM arena_ballot b WHERE b.id = NEW.ballot_id AND "  # noqa: S608
        + f"{_ISSUED} AND {_STANDING}".format(row="b")
        + " AND NOT EXISTS (SELECT 1 FROM arena_vote v"
        " WHERE v.ballot_id = NEW.ballot_id AND v.choice = 'skip' AND v.id < NEW.id)",
    ),
}


def create(schema_editor: Any) -> None:
    """Make the triggers (and on PostgreSQL their functions)."""
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    for name, (event, when, rows) in _TRIGGERS.items():
        no = "0" if is_sqlite else "false"
        appended = rows.format(pair=_pair("NEW", is_sqlite), pair_b=_pair("b", is_sqlite), no=no)
        act = f"INSERT INTO arena_pairexposure ({_COLUMNS}) {appended};"
        if is_sqlite:
            schema_editor.execute(f"CREATE TRIGGER {name} {event} WHEN {when} BEGIN {act} END")
        else:
            schema_editor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} RETURN NULL; END $$"
            )
            schema_editor.execute(f"CREATE TRIGGER {name} {event} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()")


def drop(schema_editor: Any) -> None:
    """Take them away where they are."""
    for name, (event, _, _) in _TRIGGERS.items():
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}")
        else:
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {name} ON {event.rsplit(' ', 1)[1]}")
            schema_editor.execute(f"DROP FUNCTION IF EXISTS {name}()")


def count_what_is_there(schema_editor: Any) -> None:
    """Write the sums of the ballots that were issued before there were triggers."""
    schema_editor.execute(sums_sql(schema_editor.connection.vendor))


def sums_sql(vendor: str) -> str:
    """The statement that counts all ballots there are."""
    is_sqlite = vendor == "sqlite"
    sums = [
        _pair("b", is_sqlite),
        "COUNT(*)",
        f"SUM({_LOW_LEFT.format(row='b')})",
        f"SUM(CASE WHEN {_IS_SKIPPED.format(row='b')} THEN 0 ELSE 1 END)",
        "1" if is_sqlite else "true",
    ]
    issued = f"{_ISSUED} AND {_STANDING}".format(row="b")
    groups = ", ".join(str(number) for number in range(1, 8))
    read = f"SELECT {', '.join(sums)} FROM arena_ballot b WHERE {issued} GROUP BY {groups}"  # noqa: S608 - all our own
    return f"INSERT INTO arena_pairexposure ({_COLUMNS}) {read}"


def _pair(row: str, is_sqlite: bool) -> str:
    low, high = ("MIN", "MAX") if is_sqlite else ("LEAST", "GREATEST")
    images = f"{row}.left_image_id, {row}.right_image_id"
    contenders = f"{row}.left_contender_id, {row}.right_contender_id"
    return (
        f"{row}.study_id, {row}.study_prompt_id, {row}.stratum, "
        f"{low}({images}), {high}({images}), {low}({contenders}), {high}({contenders})"
    )
