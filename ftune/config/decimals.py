"""Numbers as the user wrote them: 0.07 of 100 steps are 7, which binary fractions do not give."""

from __future__ import annotations

from fractions import Fraction


def as_written(number: float) -> Fraction:
    """The shortest decimal that reads as this number; of what was written, all 15 digits."""
    return Fraction(repr(float(number)))


def nearest_step(share: float, steps: int) -> int:
    """`share` times `steps` to the nearest whole number, of two as near the even one."""
    return round(as_written(share) * steps)
