"""A customer of the sandbox, who speaks plain HTTP, and the fixtures that start one."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from asrwatch.sandbox import Knobs, Sandbox, Scripted

SYNC = "qwen3-asr-flash"
FILETRANS = "qwen3-asr-flash-filetrans"
AUDIO_SYNC = "qwen-audio-3.1-asr-flash"
AUDIO_FILETRANS = "qwen-audio-3.1-asr-flash-filetrans"
URL = "https://example.org/files/welcome.mp3"
CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/multimodal-generation/generation"
TRANSCRIPTION = "/api/v1/services/audio/asr/transcription"
ASYNC = {"X-DashScope-Async": "enable"}
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}
Json = dict[str, Any]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that says "Hello world." to everything and lets everybody hurry."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False)) as running:
        yield running


@pytest.fixture
def customer(sandbox: Sandbox) -> "Customer":
    """Somebody with an accepted key."""
    return Customer(sandbox=sandbox)


def data_uri(content: bytes, mime: str = "audio/wav") -> str:
    """Bytes as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def sha256(content: bytes) -> str:
    """Its fingerprint on the bill."""
    return hashlib.sha256(content).hexdigest()


def chat_body(source: str = URL, **more: Any) -> Json:
    """A body of the OpenAI dialect."""
    audio = {"type": "input_audio", "input_audio": {"data": source}}
    return {"model": SYNC, "messages": [{"role": "user", "content": [audio]}], **more}


def native_body(source: str = URL, **more: Any) -> Json:
    """A body of the native dialect."""
    messages = [{"role": "user", "content": [{"audio": source}]}]
    return {"model": SYNC, "input": {"messages": messages}, **more}


def audio_family_body(source: str = URL, **more: Any) -> Json:
    """A body of the Qwen-Audio dialect."""
    audio = {"type": "input_audio", "input_audio": {"data": source}}
    messages = [{"role": "user", "content": [audio]}]
    return {
        "model": AUDIO_SYNC,
        "input": {"messages": messages},
        "parameters": {"format": "wav"},
        **more,
    }


def order_body(url: str = URL, **more: Any) -> Json:
    """A submit of the Qwen3 task dialect, without parameters."""
    return {"model": FILETRANS, "input": {"file_url": url}, **more}


def many_body(url: str = URL, **more: Any) -> Json:
    """A submit of the other task dialect."""
    return {
        "model": AUDIO_FILETRANS,
        "input": {"file_urls": [url]},
        "parameters": {},
        **more,
    }


@dataclass(kw_only=True)
class Customer:
    """Sends requests with a key."""

    sandbox: Sandbox
    key: str = ""

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        key: str | None = None,
        **more: Any,
    ) -> requests.Response:
        """Any request; `key=""` sends none."""
        key = (self.key or self.sandbox.key) if key is None else key
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        url = path if path.startswith("http") else self.sandbox.url + path
        return requests.request(
            method,
            url,
            headers={**authorization, **(headers or {})},
            timeout=20,
            allow_redirects=False,
            **more,
        )

    def post(self, path: str, body: Any, **more: Any) -> requests.Response:
        """A JSON body."""
        return self.send("POST", path, json=body, **more)

    def chat(self, body: Json | None = None, **more: Any) -> requests.Response:
        """The OpenAI path."""
        return self.post(CHAT, chat_body() if body is None else body, **more)

    def generate(self, body: Json | None = None, **more: Any) -> requests.Response:
        """The native path."""
        return self.post(GENERATION, native_body() if body is None else body, **more)

    def submit(
        self, body: Json | None = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        """The task path, with its header."""
        body = order_body() if body is None else body
        return self.post(TRANSCRIPTION, body, headers={**ASYNC, **(headers or {})}, **more)

    def submitted(self, body: Json | None = None, **more: Any) -> str:
        """The id of a task that was accepted."""
        answer = self.submit(body, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["output"]["task_id"])

    def poll(self, task_id: str) -> Json:
        """How far a task is."""
        answer = self.send("GET", f"/api/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        read: Json = answer.json()
        return read

    def finished(self, task_id: str, seconds: float = 20) -> Json:
        """The poll of a task that is over."""
        return self.until(task_id, {"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"}, seconds)

    def until(self, task_id: str, states: set[str], seconds: float = 20) -> Json:
        """The poll of a task that came to one of these states."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.poll(task_id)
            if answer["output"]["task_status"] in states:
                return answer
            time.sleep(0.02)
        raise AssertionError(f"{task_id} did not come to {states}: {answer}")

    def result(self, poll: Json) -> Json:
        """The result file of a task that succeeded."""
        output = poll["output"]
        url = output["result" if "result" in output else "results"]
        url = url["transcription_url"] if isinstance(url, dict) else url[0]["transcription_url"]
        answer = self.send("GET", url, key="")
        assert answer.status_code == 200, answer.text
        read: Json = answer.json()
        return read

    def policy(self, model: str = SYNC) -> Json:
        """A fresh upload policy."""
        answer = self.send("GET", "/api/v1/uploads", params={"action": "getPolicy", "model": model})
        assert answer.status_code == 200, answer.text
        read: Json = answer.json()["data"]
        return read

    def upload(self, content: bytes, model: str = SYNC, name: str = "a.wav") -> str:
        """The `oss://` URL of content that was uploaded."""
        policy = self.policy(model)
        answer = post_form(policy, content, key=f"{policy['upload_dir']}/{name}")
        assert answer.status_code == 200, answer.text
        return f"oss://{policy['upload_dir']}/{name}"


def form_fields(policy: Json, key: str) -> dict[str, str]:
    """The fields of the object store's form, in the vendor's order."""
    return {
        "OSSAccessKeyId": policy["oss_access_key_id"],
        "Signature": policy["signature"],
        "policy": policy["policy"],
        "key": key,
        "x-oss-object-acl": policy["x_oss_object_acl"],
        "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
        "success_action_status": "200",
    }


def post_form(
    policy: Json, content: bytes, *, key: str = "", success_action_status: str = "200"
) -> requests.Response:
    """Send the form."""
    fields = form_fields(policy, key or f"{policy['upload_dir']}/a.wav")
    fields["success_action_status"] = success_action_status
    return requests.post(
        policy["upload_host"], data=fields, files={"file": ("a.wav", content)}, timeout=20
    )


def events_of(answer: requests.Response) -> list[Any]:
    """The `data:` lines of a stream, read as JSON where they are."""
    lines = [line.removeprefix("data:").strip() for line in answer.text.splitlines()]
    return [
        json.loads(line) if line.startswith("{") else line
        for line, whole in zip(lines, answer.text.splitlines(), strict=True)
        if whole.startswith("data:")
    ]
