"""Checks the recognition options that several dialects share: language, number conversion, channels."""

from typing import Any, Final

from asrwatch.sandbox.refusals import Refusal

__all__ = ["LANGUAGES", "read_asr_options", "read_language"]

# Contract 2.1, Qwen3 family.
LANGUAGES: Final = frozenset(
    (
        *("zh", "yue", "en", "ja", "de", "ko", "ru", "fr", "pt", "ar", "it", "es", "hi", "id"),
        *("th", "tr", "uk", "vi", "cs", "da", "fil", "fi", "is", "ms", "no", "pl", "sv"),
    )
)


def read_asr_options(options: Any) -> str | None:
    """The language asked for in `asr_options`; unknown fields are ignored (open question 4).

    Raises:
        Refusal: a known field has the wrong type, or the language is not on the list.
    """
    if options is None:
        return None
    if not isinstance(options, dict):
        raise Refusal("InvalidParameter", "asr_options must be an object.")
    return read_language(options)


def read_language(options: dict[str, Any]) -> str | None:
    """`language` and `enable_itn` of an object that holds them.

    Raises:
        Refusal: one of them is wrong.
    """
    if not isinstance(options.get("enable_itn", False), bool):
        raise Refusal("InvalidParameter", "enable_itn must be a boolean.")
    language = options.get("language")
    if language is None:
        return None
    if not isinstance(language, str) or language not in LANGUAGES:
        raise Refusal(
            "InvalidParameter", f"language must be one code of: {', '.join(sorted(LANGUAGES))}."
        )
    return language
