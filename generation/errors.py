"""The one error that the making of images raises on purpose."""


class GenerationError(Exception):
    """Wrong input or failed work. The message is a sentence for people and says what to do.

    `is_retryable` carries the decision: True means that the same job may succeed at another time or on another worker.
    """

    def __init__(self, sentence: str, *, is_retryable: bool = False) -> None:
        super().__init__(sentence)
        self.is_retryable = is_retryable


class StorageError(GenerationError):
    """Nothing can be stored now: no room, no rights, no answer. The fault of no job, so no attempt is counted."""
