"""What every refused act of the arena carries: a code for programs, a field for forms, one sentence for people."""


class Refusal(Exception):
    """Wrong input, or the wrong moment for it. The sentence says what to do and may be shown to the person."""

    def __init__(self, sentence: str, *, code: str, field: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.field = field


class StudyError(Refusal):
    """A study that cannot be made or changed like this."""
