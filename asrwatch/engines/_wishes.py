"""Sentences about wishes that a family of models cannot honour (contract section 2.4)."""

from asrwatch.journey.plan import Wishes

__all__ = ["no_language", "no_place_for", "no_times", "one_language"]


def one_language(wishes: Wishes, model: str) -> tuple[str | None, tuple[str, ...]]:
    """The one language that is sent, and what to say about it."""
    hints = wishes.language_hints
    listed = ", ".join(hints)
    if wishes.language is not None:
        unsaid = not hints or hints == (wishes.language,)
        why = f"language_hints: {model} takes one language, and {wishes.language} is given."
        return wishes.language, () if unsaid else (why,)
    if len(hints) == 1:
        why = f"language_hints: {model} takes one language; the only hint, {listed}, is sent as it."
        return hints[0], (why,)
    if hints:
        why = (
            f"language_hints: {model} takes one language at most, not {listed}; "
            "none is sent, and the model finds out by itself."
        )
        return None, (why,)
    return None, ()


def no_language(wishes: Wishes, model: str) -> tuple[str, ...]:
    """For a model that takes no options at all."""
    said = []
    if wishes.language is not None:
        said.append(f"language: {model} finds out by itself and cannot be told.")
    if wishes.language_hints:
        said.append(f"language_hints: {model} finds out by itself and cannot be told.")
    if wishes.context:
        said.append(f"context: {model} takes no words to expect.")
    return tuple(said)


def no_times(wishes: Wishes, model: str) -> tuple[str, ...]:
    """For a model that answers with text only."""
    said = []
    if wishes.words:
        said.append(f"words: {model} gives no times; qwen3-asr-flash-filetrans does.")
    if wishes.timestamps:
        said.append(f"timestamps: {model} gives no times; qwen3-asr-flash-filetrans does.")
    if wishes.channels != (0,) or wishes.split:
        said.append(
            f"channels: {model} hears all channels as one; qwen3-asr-flash-filetrans separates them."
        )
    return tuple(said)


def no_place_for(wishes: Wishes, model: str) -> tuple[str, ...]:
    """Wishes that no Qwen model here has a place for."""
    said = []
    if wishes.sample_rate is not None:
        said.append(f"sample_rate: {model} reads it from the file and takes any.")
    if wishes.vocabulary_id is not None:
        said.append(f"vocabulary_id: {model} knows no hot-word lists; context may help instead.")
    if wishes.disfluency_removal is not None:
        said.append(
            f"disfluency_removal_enabled: {model} cannot be told to keep or drop filler words."
        )
    return tuple(said)
