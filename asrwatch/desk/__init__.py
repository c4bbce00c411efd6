"""Answers people's questions, for the daemon and for commands that hold the lock themselves."""

from asrwatch.desk.desk import Desk

__all__ = ["Desk"]
