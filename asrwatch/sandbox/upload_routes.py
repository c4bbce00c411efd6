"""The routes around files: upload policies, the object store's form, result files, temporary keys."""

import asyncio
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from asrwatch.sandbox.models import find_model
from asrwatch.sandbox.oss_form import receive_form
from asrwatch.sandbox.refusals import OssRefusal, Refusal
from asrwatch.sandbox.service import Service, caller_of
from asrwatch.sandbox.wire import request_id_of

__all__ = ["UPLOAD_PATH", "UploadRoutes"]

UPLOAD_PATH: Final = "/oss/dashscope-file-sandbox"
_TOKEN_SECONDS: Final = 60
_TOKEN_LONGEST: Final = 1800


@dataclass(frozen=True, kw_only=True)
class UploadRoutes:
    """What moves files and makes keys."""

    service: Service

    async def policy(self, request: Request) -> Response:
        """`GET /api/v1/uploads?action=getPolicy&model=...` (contract 6.1, step 1)."""
        service = self.service
        caller = caller_of(request)
        if request.query_params.get("action") != "getPolicy":
            raise Refusal("InvalidParameter", "action must be getPolicy.")
        name = request.query_params.get("model", "")
        if not name:
            raise Refusal("InvalidParameter", "model is required.")
        model = find_model(name, service.knobs.region)
        if model is None:
            raise Refusal("ModelNotFound", f"Model {name} not exist.")
        service.limit_queries(caller, f"uploads/{name}", service.knobs.uploads_per_second)
        policy = service.uploads.permit(
            model=name,
            account=caller.account,
            now=service.now(),
            life=service.knobs.policy_life,
            max_mb=service.knobs.max_file_size_mb,
        )
        return JSONResponse(
            {
                "request_id": request_id_of(request),
                "data": {
                    "policy": policy.text,
                    "signature": policy.signature,
                    "upload_dir": policy.directory,
                    "upload_host": f"{service.url}{UPLOAD_PATH}",
                    "expire_in_seconds": int(service.knobs.policy_life.total_seconds()),
                    "max_file_size_mb": service.knobs.max_file_size_mb,
                    "capacity_limit_mb": 999_999_999,
                    "oss_access_key_id": service.signer.access_key_id,
                    "x_oss_object_acl": "private",
                    "x_oss_forbid_overwrite": "true",
                },
            }
        )

    async def upload(self, request: Request) -> Response:
        """The object store's `POST` (contract 6.1, step 2): no key, the file last, XML errors."""
        service = self.service
        target = service.uploads.folder / uuid.uuid4().hex
        chunks = request.stream()
        try:
            form = await receive_form(
                request.headers.get("content-type", ""),
                chunks,
                check=lambda fields: service.uploads.check(fields, service.now()),
                target=target,
            )
            service.uploads.keep(
                key=form.fields["key"],
                path=target,
                sha256=form.sha256,
                size=form.size,
                now=service.now(),
            )
        except OssRefusal:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            async for _ in chunks:
                pass  # its sender hears the answer only when it has sent everything
            raise
        except ClientDisconnect:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            return Response(status_code=400)
        # OSS answers 204 unless asked for 200 or 201; anything else means 204 too.
        asked = form.fields.get("success_action_status", "")
        return Response(status_code=200 if asked == "200" else 204)

    async def result(self, request: Request) -> Response:
        """A presigned result file."""
        content = self.service.results.fetch(
            request.path_params["key"],
            request.query_params,
            has_authorization="authorization" in request.headers,
            now=self.service.now(),
        )
        return Response(content, media_type="application/json")

    async def token(self, request: Request) -> Response:
        """`POST /api/v1/tokens?expire_in_seconds=N` (contract 1.1)."""
        written = request.query_params.get("expire_in_seconds", str(_TOKEN_SECONDS))
        if not written.isdecimal() or not 1 <= int(written) <= _TOKEN_LONGEST:
            raise Refusal(
                "InvalidParameter", f"expire_in_seconds must be from 1 to {_TOKEN_LONGEST}."
            )
        token = f"st-{secrets.token_hex(16)}"
        expires = self.service.now() + timedelta(seconds=int(written))
        self.service.tokens[token] = (caller_of(request).account, expires)
        return JSONResponse({"token": token, "expires_at": int(expires.timestamp())})
