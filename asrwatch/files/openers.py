"""Asks the kernel whether anybody on this machine has a file open for writing."""

import errno
import fcntl
import signal

__all__ = ["is_being_written"]

# Where a lease may not be asked for (another user's file, a file system without leases), nobody tells.
_WILL_NOT_TELL = frozenset(
    {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
)


def is_being_written(descriptor: int) -> bool | None:
    """Whether any descriptor or memory map that may write to this file exists; None where the kernel will not say.

    A read lease is granted only where there is none (fcntl(2)); it is given back at once, and ends with the
    descriptor in any case. Whoever opens the file for writing in that moment waits for it to be over.

    Args:
        descriptor: of the file, open for reading only.

    Raises:
        OSError: the file itself cannot be asked about.
    """
    # Should the lease be broken in its short life, the kernel's signal must be one that nobody dies of.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _WILL_NOT_TELL:
            return None
        raise
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
