"""Find the API key, anew for every request, so that a corrected key heals without a restart."""

import configparser
import hashlib
import os
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asrwatch.errors import EngineError, EngineTrouble
from asrwatch.trust import strangers_who_may_read
from asrwatch.values import Secret, printable

__all__ = ["KeyRing", "digest_of"]

_LARGEST_FILE = 64 * 1024
"""A key file is one line; anything larger was named by mistake."""

_PRIVATE = (
    "A key that others can read is everybody's: if it may have been read, make a new one in the console. Then "
    "`chmod 600 {path}`, and `chown` it to the account asrwatch runs as if it is another's. Recordings wait "
    "meanwhile, and go on by themselves."
)
_ADVICE = (
    "Put the key in one of these places: {places}. Files are read anew, "
    "a changed configuration or environment variable needs a restart."
)
_ADVICE_NAMED = (
    "Put the key into {places}: while api_key_file names it, it is the only place looked at. "
    "It is read anew, without a restart."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Somewhere a key may lie: how people call it, and the key found there (None: nothing there)."""

    name: str
    key: str | None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def digest_of(key: Secret) -> str:
    """A short text that changes with the key and says nothing about it."""
    hashed = hashlib.blake2b(key.reveal().encode(), digest_size=8, person=b"asrwatch-key")
    return hashed.hexdigest()


class KeyRing:
    """Where the key may lie, in the order of the seed interface; the first that holds one decides.

    Args:
        api_key_file: named in the config. If it is named, it must hold the key: falling back to
            another account's key would be a surprise on somebody's bill.
        environment: such as `os.environ`; looked up at each request.
        home: of the user, for `~/.alibabacloud/credentials`; None: there is none.
        noticed: called with each key that is new, before it is used.
    """

    def __init__(
        self,
        *,
        api_key_file: Path | None = None,
        environment: Mapping[str, str],
        home: Path | None = None,
        noticed: Callable[[Secret], None] = lambda _: None,
    ) -> None:
        self._api_key_file = api_key_file
        self._environment = environment
        self._home = home
        self._noticed = noticed
        self._last: Secret | None = None

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.places())})"

    def key(self) -> Secret:
        """The key as it is now.

        Raises:
            EngineError: trouble `KEY`; there is no key, or what is there cannot be one.
        """
        found = self._found()
        if found is None or found.key is None:
            raise self._trouble("There is no API key for the cloud.", "no-key")
        if not found.key.isascii() or not found.key.isprintable() or " " in found.key:
            raise self._trouble(
                f"What {found.name} holds cannot be an API key: "
                "it must be one line of ASCII without spaces.",
                "bad-key-text",
            )
        key = Secret(found.key)
        if key != self._last:
            self._noticed(key)
            self._last = key
        return key

    def digest(self) -> str | None:
        """The digest of the key as it is now; None: there is none, or it cannot be read at this moment."""
        try:
            return digest_of(self.key())
        except EngineError:
            return None

    def source(self) -> str | None:
        """Which place the key in use comes from; None: there is no key."""
        try:
            found = self._found()
        except EngineError:
            return None
        return found.name if found else None

    def places(self) -> tuple[str, ...]:
        """Every place that is looked at, in order, as people would name it."""
        if self._api_key_file:
            return (printable(f"the file {self._api_key_file} (api_key_file)"),)
        folder = self._environment.get("CREDENTIALS_DIRECTORY")
        systemd = "the systemd credential dashscope-api-key"
        return tuple(
            printable(place)
            for place in (
                f"{systemd} ({folder})" if folder else systemd,
                "the environment variable DASHSCOPE_API_KEY",
                f"dashscope_api_key in section [{self._profile()}] of {self._credentials_path()}",
            )
        )

    def _found(self) -> _Place | None:
        return next((place for place in self._look() if place.key), None)

    def _look(self) -> Iterator[_Place]:
        """Each place in turn, opened only if the ones before it hold nothing."""
        if self._api_key_file:
            (named,) = self.places()
            key = self._read(self._api_key_file, called=named)
            if not key:
                what = "does not exist" if key is None else "is empty"
                raise self._trouble(f"There is no API key: {named} {what}.", "no-key")
            yield _Place(name=named, key=key)
            return
        systemd, variable, credentials = self.places()
        if folder := self._environment.get("CREDENTIALS_DIRECTORY"):
            path = Path(folder) / "dashscope-api-key"
            yield _Place(name=systemd, key=self._read(path, called=systemd))
        yield _Place(name=variable, key=self._environment.get("DASHSCOPE_API_KEY", "").strip())
        if self._home is not None:
            path = self._home / ".alibabacloud" / "credentials"
            text = self._read(path, called=credentials)
            yield _Place(name=credentials, key=self._from_ini(text, called=credentials))

    def _read(self, path: Path, *, called: str) -> str | None:
        """The stripped text of a key file that is ours alone; None where there is none.

        This is the one place where key files are opened, and where it is seen who else can read them.
        """
        try:
            # not blocking, as a FIFO would without a writer
            with open(path, "rb", opener=_without_waiting) as file:
                strangers = strangers_who_may_read(file.fileno())
                regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                held = file.read(_LARGEST_FILE + 1) if regular else b""
            if not regular:
                raise self._trouble(f"{called} is not a regular file.", "no-key")
            if strangers:
                raise EngineError(
                    f"{called} is not used, as it is no secret: {strangers}.",
                    code="key-file-open",
                    trouble=EngineTrouble.KEY,
                    advice=_PRIVATE.format(path=shlex.quote(printable(str(path)))),
                )
            if len(held) > _LARGEST_FILE:
                raise self._trouble(f"{called} is too large to hold a key.", "no-key")
            return held.decode("utf-8-sig").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            message = f"{called} cannot be read: {reason}."
            raise self._trouble(message, "no-key") from error
        except UnicodeDecodeError:
            # not chained: the exception carries the file's content
            raise self._trouble(f"{called} is not text.", "bad-key-text") from None

    def _from_ini(self, text: str | None, *, called: str) -> str | None:
        if not text:
            return None
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(text)
        except configparser.Error:
            # not chained: the exception repeats lines of the file
            message = f"The file of {called} is not an INI file."
            raise self._trouble(message, "no-key") from None
        return parser.get(self._profile(), "dashscope_api_key", fallback="").strip()

    def _profile(self) -> str:
        named = (
            self._environment.get(variable, "").strip()
            for variable in ("ALIBABA_CLOUD_PROFILE", "ALICLOUD_PROFILE")
        )
        return next((name for name in named if name), "default")

    def _credentials_path(self) -> str:
        return str((self._home or Path("~")) / ".alibabacloud" / "credentials")

    def _trouble(self, message: str, code: str) -> EngineError:
        places = self.places()
        if self._api_key_file:
            advice = _ADVICE_NAMED.format(places=places[0])
        else:
            advice = _ADVICE.format(
                places="; ".join(("a file named by cloud.api_key_file", *places))
            )
        return EngineError(message, code=code, trouble=EngineTrouble.KEY, advice=advice)
