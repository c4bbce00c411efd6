"""What a configuration can say, as frozen settings."""

from asrwatch.settings.settings import Settings

__all__ = ["Settings"]
