"""Votes files of every shape and format become the same numbered columns, or are refused with the line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE
from arena.vote_files import sheets
from arena.vote_files.judgements import read_judgements
from arena.vote_files.shapes import CriterionVotes, VoteFile, VoteFileError, read_votes

VOTES = """left,right,choice,criterion,rater,prompt,category,weight,seconds
SDXL,Größe 3,left,aesthetics,ann,p1,animals,1,3.5
Größe 3,SDXL,tie,aesthetics,ben,p1,animals,0.5,
SDXL,PixArt,both_bad,aesthetics,ann,p2,food,2,
PixArt,SDXL,skip,aesthetics,ben,p2,food,1,
"Größe 3","PixArt",right,typography,ann,"a ""quoted"",
two-line prompt",food,1,
"""


def written(folder: Path, text: str | bytes, name: str = "votes.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes, name: str = "votes.csv") -> VoteFile:
    return read_votes(written(folder, text, name))


def seen(data: CriterionVotes) -> list[tuple[object, ...]]:
    """Every vote in words: left, right, outcome, rater, prompt, weight."""
    votes = data.votes
    assert votes is not None
    columns = [
        [data.names[one] for one in votes.left],
        [data.names[one] for one in votes.right],
        votes.outcome.tolist(),
        [None] * len(votes) if votes.rater is None else votes.rater.tolist(),
        [None] * len(votes) if votes.prompt is None else votes.prompt.tolist(),
        [1.0] * len(votes) if votes.weight is None else votes.weight.tolist(),
    ]
    return list(zip(*columns, strict=True))


def refused(folder: Path, text: str | bytes, name: str = "votes.csv") -> str:
    with pytest.raises(VoteFileError) as caught:
        read(folder, text, name)
    return str(caught.value)


def test_votes_are_read_by_criterion_in_the_order_of_first_appearance(tmp_path: Path) -> None:
    file = read(tmp_path, VOTES)
    aesthetics, typography = file.criteria
    assert (file.name, file.shape) == ("votes.csv", "votes")
    assert (aesthetics.criterion, aesthetics.names) == ("aesthetics", ("Größe 3", "PixArt", "SDXL"))
    assert (aesthetics.number, aesthetics.skips, aesthetics.both_bad) == (3, 1, 1)
    assert (aesthetics.raters, aesthetics.prompts, aesthetics.notes) == (2, 2, ())
    assert seen(aesthetics) == [
        ("SDXL", "Größe 3", LEFT, 0, 0, 1.0),
        ("Größe 3", "SDXL", TIE, 1, 0, 0.5),
        ("SDXL", "PixArt", BOTH_BAD, 0, 1, 2.0),
    ]
    assert aesthetics.tallies.mass is not None
    assert aesthetics.tallies.mass[0, 2].tolist() == [0, 0.5, 0, 0]
    # A contender that this criterion never met is not one of its contenders.
    assert (typography.criterion, typography.names) == ("typography", ("Größe 3", "PixArt"))
    assert seen(typography) == [("Größe 3", "PixArt", RIGHT, 0, 2, 1.0)]


def as_records(text: str) -> list[dict[str, str]]:
    import csv
    import io

    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv", "bom", "carriage returns"])
def test_the_same_votes_read_alike_in_every_format(kind: str, tmp_path: Path) -> None:
    records = as_records(VOTES)
    path = tmp_path / f"other.{kind}"
    if kind == "jsonl":
        lines = [json.dumps({key: value for key, value in record.items() if value}) for record in records]
        path.write_text("\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:]))
    elif kind == "parquet":
        table = pa.Table.from_pylist(records)
        table = table.set_column(table.column_names.index("weight"), "weight", table["weight"].cast(pa.float64()))
        parquet.write_table(table.set_column(3, "criterion", table["criterion"].dictionary_encode()), path)
    elif kind == "tsv":
        path.write_text(
            "\t".join(records[0])
            + "\n"
            + "".join(
                "\t".join('"' + value.replace('"', '""') + '"' for value in record.values()) + "\n"
                for record in records
            )
        )
    elif kind == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + VOTES.encode())
    else:
        path.write_bytes(VOTES.replace("\n", "\r\n").encode())
    for one, other in zip(read(tmp_path, VOTES).criteria, read_votes(path).criteria, strict=True):
        assert (one.criterion, one.names, seen(one)) == (other.criterion, other.names, seen(other))
        assert (one.skips, one.raters, one.prompts) == (other.skips, other.raters, other.prompts)


def test_a_file_without_criteria_gives_one_named_overall_and_numbers_name_things(tmp_path: Path) -> None:
    text = '{"left": 3, "right": "NA", "choice": "left", "rater": 7}\n{"left": "null", "right": 3, "choice": "tie"}'
    (overall,) = read(tmp_path, text, "votes.jsonl").criteria
    assert (overall.criterion, overall.names) == ("overall", ("3", "NA", "null"))
    assert (overall.raters, overall.prompts) == (1, 0)


def test_blanks_around_texts_are_not_part_of_them(tmp_path: Path) -> None:
    (data,) = read(tmp_path, "left , right,choice\nA, B,left\n B,A ,tie \n\n").criteria
    assert (data.names, data.number) == (("A", "B"), 2)


def test_unknown_raters_are_somebody_each(tmp_path: Path) -> None:
    text = "left,right,choice,rater,prompt\nA,B,left,ann,\nA,B,tie,,\nB,A,right,,\n"
    (data,) = read(tmp_path, text).criteria
    assert data.votes is not None and data.votes.rater is not None
    assert (len(set(data.votes.rater.tolist())), data.raters) == (3, 1)
    assert (data.votes.prompt, data.prompts) == (None, 0)
    assert data.notes == ("2 votes name no rater: each is taken for one of a rater of its own.",)


def test_counts_are_tallies_and_with_raters_weighted_votes(tmp_path: Path) -> None:
    plain = "left,right,wins_left,ties,wins_right\nA,B,3,0,2\nB,A,1,4,0\n"
    (data,) = read(tmp_path, plain).criteria
    assert (data.votes, data.number, data.raters, data.tallies.mass) == (None, 10, 0, None)
    assert data.tallies.counts[:, :, :3].tolist() == [[[0, 0, 0], [3, 0, 2]], [[1, 4, 0], [0, 0, 0]]]
    named = "left,right,wins_left,ties,wins_right,rater,weight\nA,B,3,0,2,ann,0.5\nB,A,1,4,0,ben,2\n"
    (data,) = read(tmp_path, named).criteria
    assert (data.number, data.raters) == (10, 2)
    assert seen(data) == [
        ("A", "B", LEFT, 0, None, 1.5),
        ("B", "A", LEFT, 1, None, 2.0),
        ("B", "A", TIE, 1, None, 8.0),
        ("A", "B", RIGHT, 0, None, 1.0),
    ]
    assert data.tallies.mass is not None
    assert np.allclose(data.tallies.mass[0, 1], [1.5, 0, 1, 0])


def test_scores_become_pairs_within_rater_and_prompt(tmp_path: Path) -> None:
    text = """prompt,model,rater,criterion,score
p1,A,ann,looks,5
p1,B,ann,looks,3.5
p1,C,ann,looks,
p2,A,ann,looks,2
p2,B,ben,looks,4
p1,C,ben,looks,1
p2,A,ben,looks,4
p2,C,ben,looks,5
"""
    file = read(tmp_path, text)
    (data,) = file.criteria
    assert (file.shape, data.names, data.number, data.skips) == ("scores", ("A", "B", "C"), 4, 1)
    assert [row[:3] for row in seen(data)] == [
        ("A", "B", LEFT), ("A", "B", TIE), ("B", "C", RIGHT), ("A", "C", RIGHT)
    ]  # fmt: skip
    assert (data.raters, data.prompts) == (2, 2)


def test_two_scores_of_one_model_are_not_compared_with_one_another(tmp_path: Path) -> None:
    text = "prompt,model,rater,score\np,A,ann,1\np,A,ann,5\np,B,ann,3\n"
    (data,) = read(tmp_path, text).criteria
    assert sorted(row[:3] for row in seen(data)) == [("A", "B", LEFT), ("A", "B", RIGHT)]


HEADER = "left,right,choice"
COUNTS = "left,right,wins_left,ties,wins_right"
SCORES = "prompt,model,rater,score"
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "an unknown choice": (f"{HEADER}\nA,B,left\nA,B,Left\n", "votes.csv, line 3: choice must be one of left, tie"),
    "a blank choice": (f"{HEADER}\nA,B,\n", "votes.csv, line 2: choice must be one of"),
    "a missing column": (
        "left,right\nA,B\n",
        "votes.csv, line 1: lacks the column choice (it has left,right; votes need",
    ),
    "other columns": ("a,b\n1,2\n", "lacks the columns left, right, choice"),
    "a half-named table": (f"{COUNTS[:-11]}\nA,B,1,2\n", "lacks the column wins_right"),
    "an empty file": ("", "votes.csv, line 1: the file is empty."),
    "blank lines only": ("\n" * 5000, "votes.csv, line 1: the file is empty."),
    "a header alone": (f"{HEADER}\n", "votes.csv, line 1: the file is empty: it has a header but no rows."),
    "a header without an end": (HEADER, "votes.csv, line 1: the file is empty: it has a header but no rows."),
    "a self-comparison": (f"{HEADER}\nA,B,left\n\nA, A,tie\n", "votes.csv, line 4: 'A' is compared with itself."),
    "a blank contender": (f"{HEADER}\n,B,left\n", "votes.csv, line 2: left is empty."),
    "the first of several": (f"{HEADER}\nA,B,x\nA,A,left\n,B,left\n", "votes.csv, line 2: choice must"),
    "a short row": (f"{HEADER}\nA,B,left\nA,B\n", "votes.csv, line 3: has 2 values where the header has 3."),
    "a long row": (f'{HEADER}\n"A\nA",B,left\nA,B,tie,4\n', "votes.csv, line 4: has 4 values where the header has 3."),
    "an open quote": (f'{HEADER}\nA,B,left\n"A,B,left\n', "votes.csv, after line 2: unexpected end of data."),
    "an open quote in the last column": (
        f'{HEADER},rater\nA,B,left,"r\nA,B,tie,s\n',
        "votes.csv, after line 1: unexpected end of data.",
    ),
    "a quote closed by that of another line": (
        f'{HEADER},rater\nA,B,left,"r\nA,B,tie,"s\n',
        "votes.csv, after line 1: ',' expected after '\"'.",
    ),
    "a line after a quoted break": (f'{HEADER}\n"A\nA",B,left\nB,B,tie\n', "votes.csv, line 4: 'B' is compared with"),
    "a NUL byte": (f"{HEADER}\nA,B,left\nA\0,B,left\n", "votes.csv, line 3: holds a NUL byte"),
    "UTF-16": (f"{HEADER}\nA,B,left\n".encode("utf-16"), "votes.csv, line 1: holds a NUL byte; save the file as UTF-8"),
    "Latin-1": (f"{HEADER}\nA,B,left\nGröße,B,left\n".encode("latin-1"), "votes.csv, line 3: is not UTF-8 text"),
    "a Latin-1 header": (f"größe,{HEADER}\n1,A,B,left\n".encode("latin-1"), "votes.csv, line 1: is not UTF-8 text"),
    "a column twice": ("left,right,choice,left\nA,B,left,C\n", "votes.csv, line 1: the column left is there twice."),
    "a column twice but for capitals": (
        "LEFT,right,choice,Left\nA,B,left,C\n",
        "line 1: the column left is there twice.",
    ),
    "a key twice": ('{"LEFT": "A", "Left": "B", "right": "B", "choice": "tie"}', "line 1: left is there twice."),
    "a weight with a mark": (f"{HEADER},weight\nA,B,left,1_0\n", "line 2: weight must be a number, not '1_0'."),
    "a weight in other digits": (f"{HEADER},weight\nA,B,left,１\n", "line 2: weight must be a number, not '１'."),
    "no number": (f"{HEADER},weight\nA,B,left,nan\n", "line 2: weight must be a number, not 'nan'."),
    "no number in JSON": (
        '{"left": "A", "right": "B", "choice": "tie", "weight": NaN}',
        "line 1: weight must be a number, not ''.",
    ),
    "a negative weight": (f"{HEADER},weight\nA,B,left,-1\n", "line 2: weight must be above 0, not '-1'."),
    "a weight beyond all": (
        f"{HEADER},weight\nA,B,left,1e300\n",
        "weight must lie between 1e-06 and 1e+09, not",
    ),
    "a weight of next to nothing": (f"{HEADER},weight\nA,B,left,1e-9\n", "weight must lie between 1e-06 and 1e+09"),
    "a bad weight": (f"{HEADER},weight\nA,B,left,1\nA,B,left,many\n", "line 3: weight must be a number, not 'many'"),
    "a blank weight": (f"{HEADER},weight\nA,B,left,\n", "line 2: weight must be a number, not ''"),
    "an infinite weight": (f"{HEADER},weight\nA,B,left,inf\n", "line 2: weight must be a number, not 'inf'"),
    "a weight of nothing": (f"{HEADER},weight\nA,B,left,0\n", "line 2: weight must be above 0, not '0'."),
    "a broken count": (f"{COUNTS}\nA,B,3,0,2.5\n", "line 2: wins_right must be a whole number of votes, not '2.5'."),
    "a negative count": (f"{COUNTS}\nA,B,3,-1,2\n", "line 2: ties must be a whole number of votes, not '-1'."),
    "a blank criterion": (f"{HEADER},criterion\nA,B,left,x\nA,B,left,\n", "line 3: criterion is empty."),
    "a score in words": (f"{SCORES}\np,A,ann,5\np,B,ann,good\n", "line 3: score must be a number, not 'good'"),
    "a score by nobody": (f"{SCORES}\np,A,,5\n", "line 2: rater is empty."),
    "scores without pairs": (f"{SCORES}\np,A,ann,5\nq,B,ann,5\n", "no rater scored two models on one prompt"),
    "a JSON list": ('[{"left": "A"}]', "votes.csv, line 1: JSON must come as one object a line, not as a list."),
    "broken JSON": ('{"left": "A"}\n{"left": \n', "votes.csv, line 2: is not one JSON object."),
    "deep JSON": ('{"left": "A"}\n' + "[" * 100_000, "votes.csv, line 2: is not one JSON object."),
    "a JSON list as name": (
        '{"left": ["A"], "right": "B", "choice": "tie"}',
        "line 1: left must be a text or a number.",
    ),
    "half a character": ('{"left": "\\ud800", "right": "B", "choice": "tie"}', "line 1: left holds a character"),
    "a vote without a side": (
        '{"left": "A", "right": "B", "choice": "tie"}\n\n{"right": "B", "choice": "tie"}',
        "votes.csv, line 3: left is empty.",
    ),
    "broken Parquet": (b"PAR1 and no more", "votes.csv: is not a readable Parquet file."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_input_is_refused_with_file_line_and_reason(case: str, tmp_path: Path) -> None:
    text, sentence = REFUSED[case]
    found = refused(tmp_path, text)
    assert sentence in found and found.startswith("votes.csv") and "\n" not in found


@pytest.mark.parametrize(
    "text",
    [
        "left\tright\tchoice\nA\tB\tleft\nB\tA\ttie\n",
        "left;right;choice\nA;B;left\nB;A;tie\n",
        '"left";"right";"choice"\n"A";"B";"left"\n"B";"A";"tie"\n',
        "Left, RIGHT ,Choice\nA,B,left\nB,A,tie\n",
        "choice,note,right,left\nleft,x,B,A\ntie,,A,B\n",
        "\ufeff\r\n  \r\nleft,right,choice\r\nA,B,left\r\n   \r\n\r\nB,A,tie\r\n",
        "left,right,choice\rA,B,left\rB,A,tie",
        '{"Left": "A", "right": "B", "choice": "left"}\r\n\r\n{"choice": "tie", "left": "B", "right": "A"}\r\n',
    ],
)
@pytest.mark.parametrize("name", ["votes.csv", "votes.tsv", "votes"])
def test_marks_between_columns_capitals_order_and_blank_lines_do_not_matter(
    text: str, name: str, tmp_path: Path
) -> None:
    (data,) = read(tmp_path, text, name).criteria
    assert [row[:3] for row in seen(data)] == [("A", "B", LEFT), ("B", "A", TIE)]


def test_lines_are_counted_over_blank_ones(tmp_path: Path) -> None:
    text = "\n  \nleft,right,choice\nA,B,left\n   \n\nB,B,tie\n"
    assert refused(tmp_path, text) == "votes.csv, line 7: 'B' is compared with itself."


def test_words_for_nothing_are_names_in_text_and_nothing_where_a_number_is_missing(tmp_path: Path) -> None:
    (data,) = read(tmp_path, f"{HEADER},rater\nNA,null,left,nan\nnull,NA,tie,nan\n").criteria
    assert (data.names, data.raters) == (("NA", "null"), 1)
    rows = (
        '{"left": 1, "right": 2, "choice": "tie", "rater": 7}\n{"left": 2.0, "right": 1, "choice": "tie", "rater": NaN}'
    )
    (data,) = read(tmp_path, rows, "votes.jsonl").criteria
    assert (data.names, data.raters) == (("1", "2"), 1)
    path = tmp_path / "votes.parquet"
    columns = {"left": ["A", "A"], "right": ["B", "B"], "choice": ["left", "tie"], "rater": [7.0, float("nan")]}
    parquet.write_table(pa.table(columns), path)
    (data,) = read_votes(path).criteria
    assert (data.raters, data.notes) == (1, ("1 vote names no rater: each is taken for one of a rater of its own.",))


def test_parquet_complaints_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "votes.parquet"
    parquet.write_table(pa.table({"left": ["A", "A"], "right": ["B", None], "choice": ["left", "tie"]}), path)
    with pytest.raises(VoteFileError, match=r"^votes.parquet, row 2: right is empty.$"):
        read_votes(path)


def test_a_small_parquet_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads = tmp_path / "votes.parquet", []
    columns = {"left": ["A"] * 3_000, "right": ["B"] * 3_000, "choice": ["left"] * 3_000}
    parquet.write_table(pa.table(columns), path, row_group_size=1_000)
    assert len(read_judgements(path, most_rows=3_000)) == 3_000
    monkeypatch.setattr(parquet.ParquetFile, "read", lambda *args, **kwargs: reads.append(args))
    with pytest.raises(VoteFileError, match=r"^votes.parquet: has 3,000 rows; at most 2,999 are read at once"):
        read_judgements(path, most_rows=2_999)
    monkeypatch.setattr(sheets, "MOST_UNPACKED", 100)
    with pytest.raises(VoteFileError, match=r"^votes.parquet: its columns unpack to 0 MB; at most 0 MB are read"):
        read_votes(path)
    assert not reads


def test_a_long_name_that_is_in_every_row_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, name = tmp_path / "votes.parquet", "A" * 100_000
    columns = {"left": [name] * 2_000, "right": ["B"] * 2_000, "choice": ["left"] * 2_000, "rater": [3] * 2_000}
    parquet.write_table(pa.table(columns), path)
    read, sizes = parquet.ParquetFile.read, []

    def measured(*args: Any, **how: Any) -> Any:
        table = read(*args, **how)
        sizes.append(table.nbytes)
        return table

    monkeypatch.setattr(parquet.ParquetFile, "read", measured)
    sheet = sheets.read_sheet(path, wanted=set(columns))
    assert len(sizes) == 1 and sizes[0] < 1_000_000
    assert sheet.columns["left"].values == (name,) and sheet.columns["rater"].values == ("3",)


def test_a_column_of_lists_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "votes.parquet"
    parquet.write_table(pa.table({"left": [["A"]], "right": ["B"], "choice": ["left"]}), path)
    with pytest.raises(VoteFileError, match="left must hold texts or numbers, not list"):
        read_votes(path)


@pytest.mark.parametrize(
    ("text", "name", "advice"),
    [
        (
            '{"model_a": "A", "model_b": "B", "winner": "model_a", "judge": "j", "turn": 1}\n',
            "votes.jsonl",
            "Rename model_a to left, model_b to right, winner to choice, and write left, right, tie or both_bad",
        ),
        (
            "left_model,right_model,vote_type\nA,B,leftvote\n",
            "votes.csv",
            "Rename left_model to left, right_model to right, vote_type to choice",
        ),
        (
            "id,model_a,model_b,winner_model_a,winner_model_b,winner_tie\n1,A,B,1,0,0\n",
            "votes.csv",
            "Rename model_a to left, model_b to right, winner_model_a to wins_left, winner_tie to ties, "
            "winner_model_b to wins_right.",
        ),
    ],
)
def test_votes_as_other_arenas_publish_them_are_told_what_to_rename(
    text: str, name: str, advice: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(VoteFileError, match=rf"^{name}, line 1: lacks the columns left, right, .*{advice}"):
        read_votes(tmp_path / name)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_a_spreadsheet_or_a_packed_file_is_called_so(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(start + bytes(50))
    with pytest.raises(VoteFileError, match=r"^votes.csv, line 1: is a spreadsheet or compressed; save it as CSV"):
        read_votes(path)


def test_a_line_break_in_quotes_is_part_of_a_name_and_lines_are_counted_over_it(tmp_path: Path) -> None:
    text = f'{HEADER},prompt\n"A","B","left","one\ntwo"\nB,A,tie,"says ""x"", y"\n'
    (data,) = read(tmp_path, text).criteria
    assert (data.names, data.prompts, data.number) == (("A", "B"), 2, 2)
    assert refused(tmp_path, f"{text}A,A,left,z\n") == "votes.csv, line 5: 'A' is compared with itself."


def test_parquet_of_any_kind_of_text_reads_alike(tmp_path: Path) -> None:
    left, right, choice = ["A", "B", "β"], ["β", "A", "B"], ["left", "tie", "right"]
    shared = {"right": right, "choice": choice, "rater": pa.nulls(3), "prompt": [1, 2, 2]}
    kinds = [pa.array(left), pa.array(left).dictionary_encode(), pa.array(left, pa.large_string())]
    kinds += [pa.array([text.encode() for text in left])]
    for number, kind in enumerate(kinds):
        path = tmp_path / f"{number}.parquet"
        # Groups of two rows, each with a dictionary of its own.
        parquet.write_table(pa.table({"left": kind, **shared}), path, row_group_size=2)
        (data,) = read_votes(path).criteria
        assert (data.names, data.raters, data.prompts) == (("A", "B", "β"), 0, 2)
        assert [row[:3] for row in seen(data)] == [("A", "β", LEFT), ("B", "A", TIE), ("β", "B", RIGHT)]


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_is_not_there_is_said_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(VoteFileError, match="cannot be read: "):
        read_votes(tmp_path / name)


def test_more_contenders_than_can_be_ranked_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"image {number},image {number + 1},left\n" for number in range(2_000))
    assert "left names 2,001 contenders; at most 2,000" in refused(tmp_path, f"{HEADER}\n{rows}")


def test_votes_spread_over_many_blocks_of_a_file_keep_their_labels(tmp_path: Path) -> None:
    number = 200_000
    rows = "".join(f"model {i % 300},model {(i * 7 + 1) % 300},{'tie' if i % 5 else 'left'},r{i % 9999}\n"
                   for i in range(number) if i % 300 != (i * 7 + 1) % 300)  # fmt: skip
    (data,) = read(tmp_path, f"{HEADER},rater\n{rows}").criteria
    assert (len(data.names), data.raters, data.number) == (300, 9999, rows.count("\n"))
    votes = data.votes
    assert votes is not None
    for place, line in enumerate(rows.splitlines()[-50:], start=data.number - 50):
        left, right, choice, _ = line.split(",")
        assert (data.names[votes.left[place]], data.names[votes.right[place]]) == (left, right)
        assert votes.outcome[place] == (TIE if choice == "tie" else LEFT)
