"""DashScope as asrwatch speaks to it: requests built, answers read, errors mapped, keys found."""

from asrwatch.cloud.cloud import Cloud
from asrwatch.cloud.keys import KeyRing

__all__ = ["Cloud", "KeyRing"]
