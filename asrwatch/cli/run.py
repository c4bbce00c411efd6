"""`asrwatch run`: the daemon."""

from asrwatch import logs
from asrwatch.bootstrap import build_parts, open_store
from asrwatch.cli._house import settings_for, with_inboxes
from asrwatch.cli._options import ConfigFile, Folders, LogLevel, LogLevels
from asrwatch.cli._secrecy import guard_memory
from asrwatch.cli._working import leave, stoppable, warn_without_key, work

__all__ = ["run"]


@stoppable(0)
def run(
    folders: Folders,
    config: ConfigFile = None,
    log_level: LogLevel = LogLevels.INFO,
) -> None:
    """Watch folders and transcribe what appears in them.

    Runs until it is stopped. The first SIGTERM or Ctrl-C lets the requests under way finish, the second
    does not wait for them; either way nothing is lost. SIGHUP asks for another look at everything.
    Without an API key recordings wait until there is one.
    """
    guard_memory()
    settings = with_inboxes(settings_for(config, folders))
    logs.configure(log_level)
    built = build_parts(settings)
    with open_store(settings) as store:
        warn_without_key(built)
        daemon = work(settings, store, built)
    leave(daemon, 0)
