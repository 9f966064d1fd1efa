"""How a prompt is set and how progress is worded."""

import pytest

from arena.raters import RaterProgress
from arena.views.ballot_page import ProgressLine, PromptPart, progress_line, prompt_parts


@pytest.mark.parametrize(
    ("text", "target", "parts"),
    [
        ("a red cube", None, [("a red cube", False)]),
        ("a red cube", "", [("a red cube", False)]),
        ('a sign "OPEN" here', "OPEN", [('a sign "', False), ("OPEN", True), ('" here', False)]),
        ("OPEN", "OPEN", [("OPEN", True)]),
        ("OPEN and OPEN", "OPEN", [("OPEN", True), (" and OPEN", False)]),
        ("a shop sign", "OPEN", [("a shop sign Text to show: ", False), ("OPEN", True)]),
    ],
)
def test_the_text_to_spell_is_a_part_of_its_own(text: str, target: str | None, parts: list[tuple[str, bool]]) -> None:
    assert prompt_parts(text, target) == tuple(PromptPart(part, is_target) for part, is_target in parts)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (RaterProgress(12, 40, 6.0, 2.8), ProgressLine("12 of 40 · about 3 min left", 12, 40)),
        (RaterProgress(39, 40, 6.0, 0.1), ProgressLine("39 of 40 · about 1 min left", 39, 40)),
        (RaterProgress(40, 40, 6.0, 0.0), ProgressLine("40 of 40", 40, 40)),
        (RaterProgress(7, None, 6.0, None), ProgressLine("7 answered", 7, None)),
    ],
)
def test_progress_is_said_in_one_line(progress: RaterProgress, line: ProgressLine) -> None:
    assert progress_line(progress) == line
