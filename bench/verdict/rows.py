"""Declared rows: what is measured of a part of a claim, and where it must lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.verdict.claims import CLAIMS, INSTRUMENTS
from bench.verdict.documents import Interval
from bench.verdict.regions import Region


@dataclass(frozen=True)
class Row:
    """One measured assertion, declared before it is measured."""

    name: str
    """Unique over all papers, and stable: it names the row on record."""
    of: str
    """The claim and its part, such as LC3c; or an instrument of the suite's own."""
    statistic: str
    """Measured quantity, in words."""
    accept: Region
    because: str = ""
    """Reason why the region lies where it does."""
    contestants: tuple[object, ...] = ()
    """The variants that are measured, in the order in which `measure` takes them."""
    measure: Callable[..., Interval] | None = None
    """From the contestants' measurements to the statistic; None where the test works it out by itself."""
    control: bool = False
    """Shown, and never counted: it shows that an instrument works, or goes beyond the claim."""

    def __post_init__(self) -> None:
        claim = CLAIMS.get(self.claim)
        if claim is None and self.of not in INSTRUMENTS:
            raise ValueError(f"{self.name} is of {self.of}, and there is no such claim; see bench/verdict/claims.py")
        if claim is not None and self.part not in claim.parts:
            raise ValueError(f"{self.name} is of {self.of}, and {claim.id} has the parts {', '.join(claim.parts)}")

    @property
    def claim(self) -> str:
        """The claim's identifier."""
        return self.of if self.of in INSTRUMENTS else self.of.rstrip("abcdefgh")

    @property
    def part(self) -> str:
        """The part's letter; empty for an instrument."""
        return self.of.removeprefix(self.claim)

    def __str__(self) -> str:
        return self.name
