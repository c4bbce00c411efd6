"""The cloud's own temporary space: free, private, and gone after 48 hours.

The vendor means it for development and tests; it is the only way without a storage of your own.
"""

import secrets
from datetime import timedelta

from asrwatch.cloud.uploads import upload_form
from asrwatch.crash import crash_point
from asrwatch.errors import TooLargeToUpload
from asrwatch.storages import Published, Source, Storage, StorageOptions
from asrwatch.values import format_size

__all__ = ["DashscopeTemp", "DashscopeTempOptions"]

_LIFE = timedelta(hours=48)


class DashscopeTempOptions(StorageOptions):
    """Options of `dashscope-temp`: it needs none."""


class DashscopeTemp(Storage[DashscopeTempOptions]):
    """Uploads to the cloud's temporary space, which keeps a file for 48 hours."""

    Options = DashscopeTempOptions

    def publish(self, source: Source, *, ask_id: str, model: str) -> Published:
        """Upload under a fresh policy, since one key can be written once only.

        Raises:
            TooLargeToUpload: the file is larger than the space takes for this model.
            TemporaryError: not now.
            EngineError: the key or the model is at fault.
            SourceChanged: the file changed while it was uploaded.
        """
        begun = self.cloud.now()
        policy = self.cloud.policy(model)
        crash_point("policy-got")
        if policy.largest is not None and source.size > policy.largest:
            raise TooLargeToUpload(
                f"The recording is {format_size(source.size)}; the cloud's temporary space takes "
                f"{format_size(policy.largest)} for {model}.",
                largest=policy.largest,
                code="too-large-for-storage",
                advice="Use storage public-dir or another storage of your own.",
            )
        form = upload_form(
            policy,
            name=f"{ask_id}.{source.extension}" if source.extension else ask_id,
            stream=source.stream,
            size=source.size,
            mime=source.mime,
            boundary=secrets.token_hex(16),
        )
        self.cloud.upload(form)
        return Published(url=form.oss_url, expires=begun + _LIFE)
