"""Texts in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True)
class Text:
    """A text in both languages.

    Args:
        en: English.
        zh: Chinese; empty if it is the same, as for numbers and names.
    """

    en: str
    zh: str = ""

    def of(self, language: Language) -> str:
        """The text in a language."""
        return self.zh or self.en if language == "zh" else self.en

    def format(self, **values: Any) -> Text:
        """The text with its fields filled, as by ``str.format``; values may be texts, too."""
        return Text(*(self.of(language).format(**_values(values, language)) for language in LANGUAGES))

    def __add__(self, other: Text) -> Text:
        """Both texts, one after the other, with a space between them in English."""
        return joined((self, other))


NOTHING = Text("")


def joined(texts: Iterable[Text]) -> Text:
    """The texts one after the other, without empty ones."""
    said = [text for text in texts if text != NOTHING]
    return Text(" ".join(text.en for text in said), "".join(text.of("zh") for text in said))


def _values(values: dict[str, Any], language: Language) -> dict[str, Any]:
    return {name: value.of(language) if isinstance(value, Text) else value for name, value in values.items()}
