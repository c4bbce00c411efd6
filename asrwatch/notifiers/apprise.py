"""Tells people through Apprise: mail, ntfy, Telegram, DingTalk, WeCom, MQTT and a hundred more."""

import hashlib
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, field_validator, model_validator

from asrwatch.errors import TemporaryError
from asrwatch.heartbeats import beat
from asrwatch.news import Message
from asrwatch.notifiers import AbsolutePath, Notifier, NotifierOptions, Occasion
from asrwatch.notifiers._secrets import lines_of
from asrwatch.notifiers._wording import body, title
from asrwatch.values import Secret, printable

__all__ = ["Apprise", "AppriseOptions"]

_REMEMBERED: Final = 64
_WARNING: Final = 30
"""The number of the level, as the library wants it (docs.python.org/3/library/logging.html)."""
_SHORTEST: Final = 4
_SURELY_SECRET: Final = 10
"""Characters: shorter words of an address may stand in any line of a log, and would be masked there."""
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


class AppriseOptions(NotifierOptions):
    """Options of `apprise`.

    `url` is one of Apprise's addresses, such as ntfy://topic; `url_file` names a file (mode 0600) that holds one or
    more, a line each, since most of them hold passwords. Here recordings that were delivered are grouped, too.
    `language`: en or zh.
    """

    each: tuple[Occasion, ...] = ()
    language: Literal["en", "zh"] = "en"
    url: SecretStr | None = None
    url_file: AbsolutePath | None = None

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _SCHEME.fullmatch(url.get_secret_value()):
            msg = "must be an address of Apprise's, such as ntfy://topic"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _is_one(self) -> "AppriseOptions":
        if (self.url is None) == (self.url_file is None):
            msg = "give either url or url_file"
            raise ValueError(msg)
        return self


class Apprise(Notifier[AppriseOptions]):
    """People, wherever Apprise reaches them: mail, ntfy, Telegram, DingTalk, WeCom, MQTT and more."""

    Options = AppriseOptions
    needs: ClassVar[tuple[str, str] | None] = ("apprise", "notify")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Whom of several a message has reached already, so that a second try does not tell them twice.
        self._reached: OrderedDict[str, set[str]] = OrderedDict()

    @property
    def address(self) -> str:
        """The address, or the file that holds them."""
        url = self.options.url
        return url.get_secret_value() if url else str(self.options.url_file)

    @property
    def label(self) -> str:
        """Only the kind of address, as all the rest may be secret."""
        url = self.options.url
        if url is not None:
            return f"apprise {printable(url.get_secret_value().partition(':')[0])}"
        return f"apprise {printable(Path(str(self.options.url_file)).name)}"

    def check(self) -> str:
        """Whether Apprise understands the addresses.

        Raises:
            TemporaryError: it does not, or the file cannot be used.
        """
        kinds = [receiver.service_name for _, receiver in self._receivers()]
        return f"reaches {', '.join(map(printable, map(str, kinds)))}"

    def send(self, message: Message) -> str:
        """Tell everybody whom this message has not reached yet.

        Raises:
            TemporaryError: somebody could not be told.
        """
        from apprise import LogCapture  # noqa: PLC0415 - heavy, and an extra

        reached = self._reached.setdefault(message.id, set())
        missed, said = 0, ""
        language = self.options.language
        told = title(message.news, language), body(message.news, language)
        captured = LogCapture(level=_WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call] # the library's
        with captured as lines:
            for url, receiver in self._receivers():
                digest = hashlib.sha256(url.encode()).hexdigest()
                if digest in reached:
                    continue
                beat()
                if receiver.notify(title=told[0], body=told[1] or " "):
                    reached.add(digest)
                else:
                    missed += 1
                    said = _without(_secrets_of(url), lines.getvalue())
        if missed:
            self._forget_old()
            last = said.strip().rpartition("\n")[2]
            raise TemporaryError(
                f"{self.label} could not tell {missed} of its receivers.",
                code="not-told",
                advice=f"Apprise says: {printable(last)[:300]}" if last else "",
            )
        del self._reached[message.id]
        return "told"

    def _forget_old(self) -> None:
        while len(self._reached) > _REMEMBERED:
            self._reached.popitem(last=False)

    def _receivers(self) -> list[tuple[str, Any]]:
        import apprise  # noqa: PLC0415 - heavy, and an extra

        asset = apprise.AppriseAsset(
            app_id="asrwatch",
            app_desc="asrwatch",
            async_mode=False,
            secure_logging=True,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
        )
        receivers = []
        for url in self._urls():
            receiver = apprise.Apprise.instantiate(url, asset=asset)
            if receiver is None:
                kind = printable(url.partition(":")[0])
                raise TemporaryError(
                    f"Apprise does not understand an address of the kind {kind}.",
                    code="bad-address",
                    advice="Its documentation tells how they are written: "
                    "https://appriseit.com/services/",
                )
            receivers.append((url, receiver))
        return receivers

    def _urls(self) -> tuple[str, ...]:
        url, file = self.options.url, self.options.url_file
        urls = (url.get_secret_value(),) if url else lines_of(file) if file else ()
        for each in urls:
            for secret in _secrets_of(each):
                if len(secret) >= _SURELY_SECRET:
                    self.around.noticed(Secret(secret))
        return urls


def _secrets_of(url: str) -> list[str]:
    """The address and everything in it that may be secret, the longest first."""
    try:
        parts = urlsplit(url)
        found = [parts.password, parts.username, *parts.path.split("/")]
        found += re.split(r"[=&]", parts.query)
    except ValueError:
        found = []
    kept = {each for each in found if each and len(each) > _SHORTEST}
    return sorted({url, *kept, *map(unquote, kept)}, key=len, reverse=True)


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
