import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import requests
from sandbox_helpers import (
    AUDIO_SYNC,
    FILETRANS,
    RESOLVE,
    SYNC,
    Customer,
    Json,
    chat_body,
    customer,
    form_fields,
    native_body,
    order_body,
    post_form,
    sandbox,
    sha256,
)

from asrwatch.sandbox import Sandbox

__all__ = ["customer", "sandbox"]

BOUNDARY = "-asrwatch-"


def xml_error(answer: requests.Response) -> tuple[int, str, str]:
    """Status, code and text of the object store's XML."""
    assert answer.headers["content-type"].startswith("application/xml")
    root = ET.fromstring(answer.text)  # noqa: S314 - our own server's XML
    assert root.tag == "Error"
    return answer.status_code, root.findtext("Code", ""), root.findtext("Message", "")


def part(name: str, value: str) -> bytes:
    """One field of a form, written by hand."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return f"{head}{value}\r\n".encode()


def file_part(content: bytes, head: str = "") -> bytes:
    """The file of a form, written by hand."""
    head = head or 'Content-Disposition: form-data; name="file"; filename="a"\r\n'
    return f"--{BOUNDARY}\r\n{head}\r\n".encode() + content + b"\r\n"


def send_parts(policy: Json, parts: Iterable[bytes], content_type: str = "") -> requests.Response:
    """A form from its parts, with its end."""
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    content_type = content_type or f"multipart/form-data; boundary={BOUNDARY}"
    return requests.post(
        policy["upload_host"], data=body, headers={"Content-Type": content_type}, timeout=20
    )


def fields_of(policy: Json) -> list[bytes]:
    """All fields as parts."""
    fields = form_fields(policy, f"{policy['upload_dir']}/a.wav")
    return [part(name, value) for name, value in fields.items()]


def test_policy(customer: Customer) -> None:
    """A policy holds what the vendor's does, and two of them name two folders."""
    policy = customer.policy()
    assert set(policy) == {
        *("policy", "signature", "upload_dir", "upload_host", "expire_in_seconds"),
        *("max_file_size_mb", "capacity_limit_mb", "oss_access_key_id"),
        *("x_oss_object_acl", "x_oss_forbid_overwrite"),
    }
    assert policy["expire_in_seconds"] == 300
    assert policy["x_oss_object_acl"] == "private"
    assert policy["upload_dir"] != customer.policy()["upload_dir"]


@pytest.mark.parametrize(
    ("query", "status"),
    [({"model": SYNC}, 400), ({"action": "getPolicy"}, 400)],
)
def test_policy_refused(customer: Customer, query: dict[str, str], status: int) -> None:
    """Without its action or its model there is no policy."""
    assert customer.send("GET", "/api/v1/uploads", params=query).status_code == status


def test_policy_for_unknown_model(customer: Customer) -> None:
    """There is no policy for a model that does not exist."""
    answer = customer.send("GET", "/api/v1/uploads?action=getPolicy&model=none")
    assert (answer.status_code, answer.json()["code"]) == (404, "ModelNotFound")


@pytest.mark.parametrize(("asked", "status"), [("200", 200), ("", 204), ("201", 204)])
def test_upload_answers_empty(customer: Customer, asked: str, status: int) -> None:
    """An upload answers 204, or 200 if asked for it, with an empty body, and needs no key."""
    answer = post_form(customer.policy(), b"audio", success_action_status=asked)
    assert (answer.status_code, answer.content) == (status, b"")
    (stored,) = customer.sandbox.uploads
    assert (stored.sha256, stored.size, stored.model) == (sha256(b"audio"), 5, SYNC)
    assert stored.path.read_bytes() == b"audio"


def test_upload_is_usable_at_once(customer: Customer) -> None:
    """What was uploaded is heard by its oss:// URL on every path."""
    url = customer.upload(b"audio")
    assert customer.chat(chat_body(url), headers=RESOLVE).status_code == 200
    assert customer.generate(native_body(url), headers=RESOLVE).status_code == 200
    assert {line.sha256 for line in customer.sandbox.bill} == {sha256(b"audio")}


def test_same_key_twice(customer: Customer) -> None:
    """A second upload under the same key is refused, and the first stays."""
    policy = customer.policy()
    assert post_form(policy, b"one").status_code == 200
    assert xml_error(post_form(policy, b"two"))[:2] == (409, "FileAlreadyExists")
    assert [stored.sha256 for stored in customer.sandbox.uploads] == [sha256(b"one")]


def test_stale_policy(customer: Customer) -> None:
    """A policy is good for 300 s."""
    policy = customer.policy()
    sandbox = customer.sandbox
    sandbox.knobs = replace(sandbox.knobs, clock_offset=timedelta(seconds=300))
    assert xml_error(post_form(policy, b"audio")) == (
        *(403, "AccessDenied", "Invalid according to Policy: Policy expired."),
    )
    assert not sandbox.uploads


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Signature": "AAAA"}, "SignatureDoesNotMatch"),
        ({"policy": "e30="}, "SignatureDoesNotMatch"),
        ({"OSSAccessKeyId": "LTAIother"}, "InvalidAccessKeyId"),
        ({"x-oss-object-acl": "public-read"}, "AccessDenied"),
        ({"x-oss-forbid-overwrite": "false"}, "AccessDenied"),
        ({"key": "elsewhere/a.wav"}, "AccessDenied"),
        ({"key": ""}, "InvalidArgument"),
    ],
)
def test_changed_form(customer: Customer, changed: dict[str, str], code: str) -> None:
    """Whatever the policy does not allow is refused in XML, and nothing is kept."""
    policy = customer.policy()
    fields = form_fields(policy, f"{policy['upload_dir']}/a.wav") | changed
    parts = [part(name, value) for name, value in fields.items()]
    answer = send_parts(policy, [*parts, file_part(b"audio")])
    status, refused, message = xml_error(answer)
    assert refused == code
    assert status in {400, 403}
    if code == "AccessDenied":
        assert message.startswith("Invalid according to Policy: Policy Condition failed:")
    assert not customer.sandbox.uploads
    assert not list((customer.sandbox._service.folder / "uploads").iterdir())


def test_fields_after_the_file_do_not_count(customer: Customer) -> None:
    """The file has to come last: what follows it is ignored, whatever it is."""
    policy = customer.policy()
    *before, last = fields_of(policy)
    answer = send_parts(policy, [*before, file_part(b"audio"), last, b"--not even a part"])
    assert answer.status_code == 204
    policy = customer.policy()
    first, *others = fields_of(policy)
    answer = send_parts(policy, [*others, file_part(b"audio"), first])
    assert xml_error(answer)[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "head",
    [
        "Content-Disposition: form-data; name=file; filename=a\r\n",
        'Content-Type: audio/wav\r\nContent-Disposition: form-data; name="file"\r\n',
    ],
)
def test_malformed_part(customer: Customer, head: str) -> None:
    """Names have to be quoted and Content-Disposition has to come first."""
    policy = customer.policy()
    answer = send_parts(policy, [*fields_of(policy), file_part(b"audio", head)])
    assert xml_error(answer)[:2] == (400, "MalformedPOSTRequest")


def test_content_type_after_disposition(customer: Customer) -> None:
    """A content type after the disposition is fine."""
    policy = customer.policy()
    head = 'Content-Disposition: form-data; name="file"\r\nContent-Type: audio/wav\r\n'
    answer = send_parts(policy, [*fields_of(policy), file_part(b"audio", head)])
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [f'multipart/form-data; boundary="{BOUNDARY}"', "multipart/form-data", "application/json"],
)
def test_malformed_content_type(customer: Customer, content_type: str) -> None:
    """The boundary has to be there, unquoted."""
    policy = customer.policy()
    answer = send_parts(policy, [*fields_of(policy), file_part(b"audio")], content_type)
    assert xml_error(answer)[:2] == (400, "MalformedPOSTRequest")


def test_form_without_file(customer: Customer) -> None:
    """A form that ends before its file is malformed."""
    policy = customer.policy()
    assert xml_error(send_parts(policy, fields_of(policy)))[:2] == (400, "MalformedPOSTRequest")


def test_too_large(customer: Customer) -> None:
    """A file over the policy's size is refused and not kept."""
    sandbox = customer.sandbox
    sandbox.knobs = replace(sandbox.knobs, max_file_size_mb=1)
    policy = customer.policy()
    assert policy["max_file_size_mb"] == 1
    assert post_form(policy, b"x" * 1024 * 1024).status_code == 200
    answer = post_form(customer.policy(), b"x" * (1024 * 1024 + 1))
    assert xml_error(answer)[:2] == (400, "EntityTooLarge")


def test_large_upload_arrives_whole(customer: Customer) -> None:
    """A file that looks like the form's own boundary, and is longer than any buffer, arrives as sent."""
    content = (f"\r\n--{BOUNDARY}x\r\n--".encode() + bytes(range(256))) * 20_000
    policy = customer.policy()

    def body() -> Iterator[bytes]:
        yield from fields_of(policy)
        yield file_part(content)
        yield f"--{BOUNDARY}--\r\n".encode()

    answer = requests.post(
        policy["upload_host"],
        data=body(),
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        timeout=20,
    )
    assert answer.status_code == 200
    assert customer.sandbox.uploads[0].sha256 == sha256(content)


def test_oss_needs_the_header(customer: Customer) -> None:
    """Without the resolve header an oss:// URL is no URL."""
    url = customer.upload(b"audio")
    chat = customer.chat(chat_body(url)).json()["error"]
    assert chat["code"] == "invalid_parameter_error"
    assert chat["message"].startswith(
        "InternalError.Algo.InvalidParameter: The provided URL does not appear to be valid"
    )
    for answer in (customer.generate(native_body(url)), customer.submit(order_body(url))):
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")


def assert_not_to_be_had(customer: Customer, url: str, model: str = SYNC) -> None:
    """The URL is refused on the native path of a model."""
    if model == SYNC:
        answer = customer.generate(native_body(url), headers=RESOLVE)
    else:
        answer = customer.submit(order_body(url), headers=RESOLVE)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter.DataInspection")


def test_oss_is_for_one_model(customer: Customer) -> None:
    """An object uploaded for one model is not there for another."""
    assert_not_to_be_had(customer, customer.upload(b"audio", FILETRANS))
    assert_not_to_be_had(customer, customer.upload(b"audio", AUDIO_SYNC))
    assert_not_to_be_had(customer, customer.upload(b"audio", SYNC), FILETRANS)
    assert_not_to_be_had(customer, "oss://dashscope-instant/none/a.wav")


def test_oss_is_for_one_account(sandbox: Sandbox) -> None:
    """An object belongs to the account, whichever of its keys uploaded it."""
    sandbox.knobs = replace(sandbox.knobs, keys={"sk-a": "1", "sk-b": "1", "sk-c": "2"})
    url = Customer(sandbox=sandbox, key="sk-a").upload(b"audio")
    colleague = Customer(sandbox=sandbox, key="sk-b")
    assert colleague.generate(native_body(url), headers=RESOLVE).status_code == 200
    assert_not_to_be_had(Customer(sandbox=sandbox, key="sk-c"), url)


def test_oss_lasts_48_hours(customer: Customer, sandbox: Sandbox) -> None:
    """An object is gone 48 h after its upload; a task that was queued longer fails."""
    url = customer.upload(b"audio")
    queued = customer.upload(b"queued", FILETRANS)
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    task_id = customer.submitted(order_body(queued), headers=RESOLVE)
    day_two = timedelta(hours=47, minutes=59)
    sandbox.knobs = replace(sandbox.knobs, clock_offset=day_two)
    assert customer.generate(native_body(url), headers=RESOLVE).status_code == 200
    sandbox.knobs = replace(
        sandbox.knobs, clock_offset=timedelta(hours=48), queue_time=timedelta(0)
    )
    assert_not_to_be_had(customer, url)
    assert customer.finished(task_id)["output"]["code"] == "FILE_403_FORBIDDEN"
