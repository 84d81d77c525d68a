"""Why the door is asked: what is new may be refused, what looks after an effect that is out there may not."""

from enum import StrEnum


class Purpose(StrEnum):
    """What a use is for."""

    NEW = "new"
    # What became of an effect: looked for, or read back. Refused by no budget and no data class.
    SETTLE = "settle"
    # Taking an effect back. Refused by no budget, and by no rule about which data goes where.
    UNDO = "undo"
