"""Vocabulary: why a quantised model is refused, as words that programs compare and people look up.

A reason that is not a row here does not exist. The table says what to do about each; the detail of a reason says
what was measured.
"""

from collections.abc import Mapping
from types import MappingProxyType

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "already_int8": "pass the float original",
        "bad_calibration": "calibrate on dozens of real inputs, scaled as the task scales them",
        "cannot_quantise": "check the model and its inputs, or leave it float",
        "collapsed_boxes": "keep the box head float, or give boxes and scores outputs of their own",
        "collapsed_values": "keep the operators before this output float",
        "dead_scores": "keep the score head float",
        "disagrees": "keep more operators float, or calibrate on inputs as the model will meet them",
        "does_not_run": "convert the model again for this engine",
        "flipped_decisions": "keep the score head float",
        "missing_extra": "install headway[quantize]",
        "no_int8": "quantise it first, or ship the float original as it is",
        "no_speed_gain": "ship the float original, or a smaller float model",
        "not_judged": "add photos that show what the task looks for",
        "not_numbers": "keep the operators before this output float",
        "not_smaller": "ship the float original",
        "other_edges": "compare a model with its own float original",
        "too_few_photos": "add photos that show what the task looks for",
    }
)


class Reason(str):
    """One reason, reading as ``word: detail``."""

    __slots__ = ("detail", "word")
    word: str
    detail: str

    def __new__(cls, word: str, detail: str) -> "Reason":
        """Make a reason of a word of the table and what was measured.

        Raises:
            KeyError: the word is not in the table.
        """
        if word not in REASONS:
            raise KeyError(word)
        made = super().__new__(cls, f"{word}: {detail}")
        made.word, made.detail = word, detail
        return made

    @property
    def advice(self) -> str:
        """The reason with what to do about it, for people."""
        return f"{self}: {REASONS[self.word]}"

    def view(self) -> dict[str, str]:
        """For JSON: the word, what was measured, what to do."""
        return {"word": self.word, "detail": self.detail, "fix": REASONS[self.word]}
