"""One line of a verification."""

from typing import Literal, NamedTuple

State = Literal["ok", "differs", "note"]


class Check(NamedTuple):
    """The outcome of one check; a note is a fact that does not make the verification fail."""

    state: State
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state:<8} {self.subject}{f': {self.detail}' if self.detail else ''}"


def judged(subject: str, differences: list[str], done: str = "") -> list[Check]:
    """Return one check per difference, or a single one that passed."""
    return [Check("differs", subject, text) for text in differences] or [Check("ok", subject, done)]
