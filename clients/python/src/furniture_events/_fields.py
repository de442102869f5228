"""The contract's rules for the fields of furniture.

Pure. The broker checks these rules. The test broker checks them, too, and Django's system checks
warn of columns that break them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["FURNITURE_RULES", "NumberRule", "TextRule"]


@dataclass(frozen=True, slots=True)
class TextRule:
    """A field that holds text; lengths are in characters."""

    min_length: int
    max_length: int
    type: str = "string"

    @property
    def message(self) -> str:
        """The broker's sentence about a value that breaks this rule."""
        if self.min_length == 0:
            return f"must be a string of at most {self.max_length} characters"
        return f"must be a string of {self.min_length} to {self.max_length} characters"

    def allows(self, value: object) -> bool:
        """Tell whether the value keeps to this rule."""
        return isinstance(value, str) and self.min_length <= len(value) <= self.max_length


@dataclass(frozen=True, slots=True)
class NumberRule:
    """A field that holds a number."""

    minimum: int
    type: str = "number"

    @property
    def message(self) -> str:
        """The broker's sentence about a value that breaks this rule."""
        return f"must be a number ≥ {self.minimum}"

    def allows(self, value: object) -> bool:
        """Tell whether the value keeps to this rule."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and value >= self.minimum  # type: ignore[operator]


FURNITURE_RULES: Final[Mapping[str, TextRule | NumberRule]] = {
    "furniture_id": TextRule(1, 128),
    "nombre": TextRule(1, 255),
    "descripcion": TextRule(0, 10_000),
    "altura": NumberRule(0),
    "ancho": NumberRule(0),
    "material": TextRule(1, 255),
    "autor_username": TextRule(1, 255),
}
