"""Every documented error code of the cloud, and what asrwatch makes of it (contract sections 6.1, 7.2 to 7.4)."""

import re
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["RULES", "Rule", "Verdict", "verdict"]


class Verdict(StrEnum):
    """What a refusal means, which decides the exception that stands for it."""

    KEY = "key"
    MONEY = "money"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    QUOTA_MINUTE = "quota_minute"
    RECORDING = "recording"
    MISFIT = "misfit"
    FETCH = "fetch"
    PASSING = "passing"
    SILENT = "silent"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of the table: the first one that fits decides.

    `codes` are lower case, one ending in `*` stands for all that begin so, none at all for any code;
    `says` is searched in the message, without regard to case; `statuses` narrow a code that means
    different things. `what` and `advice` are for people. A sentence of `advice` is either about what the
    daemon does next or about what a person can do: `asrwatch transcribe` shows the latter alone.
    """

    codes: tuple[str, ...] = ()
    verdict: Verdict
    what: str
    advice: str = ""
    says: str = ""
    statuses: tuple[int, ...] = ()

    def fits(self, status: int, code: str, message: str) -> bool:
        """Whether this rule speaks of such an answer."""
        return (
            (not self.codes or any(_same(known, code.lower()) for known in self.codes))
            and (not self.statuses or status in self.statuses)
            and (not self.says or re.search(self.says, message, re.IGNORECASE) is not None)
        )


def _same(known: str, code: str) -> bool:
    return code.startswith(known[:-1]) if known.endswith("*") else code == known


_PAY = "Look at the account's billing page in the Model Studio console. asrwatch goes on by itself afterwards."
_RIGHTS = "Check the engine's model, cloud.region and what the key's workspace may use."
_FRESH = "asrwatch publishes the recording afresh and asks again."
_LATER = "asrwatch tries again later."
_TRANSCODE = (
    "Play the file to see whether it is whole; then convert it (for example to FLAC) and retry."
)
_REPORT = "Please report this with the log: asrwatch should not have asked like this."
_SHORTER = "Cut the recording, or let an engine for long files take it."

# What decides by its message goes first: some codes are used for everything.
RULES: tuple[Rule, ...] = (
    # Money, whatever the code and the status.
    Rule(
        says=r"free allocated quota exceeded",
        verdict=Verdict.MONEY,
        what="The model's free quota is used up and paying is not switched on",
        advice=_PAY,
    ),
    Rule(
        codes=("allocationquota.freetieronly",),
        verdict=Verdict.MONEY,
        what="The free quota is used up and the account is set to use nothing else",
        advice=_PAY,
    ),
    Rule(
        codes=("arrearage", "prepaidbilloverdue", "postpaidbilloverdue"),
        verdict=Verdict.MONEY,
        what="The account is overdue",
        advice=_PAY,
    ),
    Rule(
        codes=("commoditynotpurchased", "accessdenied.unpurchased"),
        verdict=Verdict.MONEY,
        what="The service is not bought or not switched on for this account",
        advice=_PAY,
    ),
    # The key.
    Rule(
        codes=("invalidapikey", "invalid_api_key"),
        verdict=Verdict.KEY,
        what="The cloud does not accept the API key",
        advice="Keys belong to one region: check the key and cloud.region. Nothing was lost.",
    ),
    Rule(
        codes=("not authorized",),
        verdict=Verdict.KEY,
        what="The API key belongs to another workspace",
        advice="Check the key, cloud.base_url and cloud.workspace. Nothing was lost.",
    ),
    # Uploads.
    Rule(
        codes=("accessdenied",),
        says=r"invalid according to policy|policy expired",
        verdict=Verdict.PASSING,
        what="The permission to upload ran out",
        advice="asrwatch fetches a fresh one. If this repeats, check the clock and the upload's speed.",
    ),
    # The wrong door for this model.
    Rule(
        codes=("accessdenied",),
        says=r"does not support (a)?synchronous calls",
        verdict=Verdict.FORBIDDEN,
        what="The model cannot be called in this way",
        advice="Check that the engine's model belongs to this engine.",
    ),
    Rule(
        says=r"url error, please check url|input must contain file_urls",
        verdict=Verdict.FORBIDDEN,
        what="The model belongs to another engine",
        advice="Check that the engine's model belongs to this engine.",
    ),
    Rule(
        codes=("accessdenied", "model.accessdenied", "workspace.accessdenied"),
        verdict=Verdict.FORBIDDEN,
        what="The key may not use this model",
        advice=_RIGHTS,
    ),
    Rule(
        codes=(
            "modelnotfound",
            "model_not_found",
            "model_not_supported",
            "workspacenotfound",
            "notfound",
            "tasknotfound",
            "task_not_found",
        ),
        verdict=Verdict.FORBIDDEN,
        what="The cloud does not know this model here",
        advice=_RIGHTS,
    ),
    # Pace.
    Rule(
        codes=("throttling.allocationquota",),
        statuses=(400,),
        verdict=Verdict.RECORDING,
        what="The account's number of hot-word lists is used up",
        advice="Delete lists that are no longer needed.",
    ),
    Rule(
        codes=("throttling.allocationquota", "insufficient_quota"),
        verdict=Verdict.QUOTA_MINUTE,
        what="The account's quota for this minute is used up",
        advice="asrwatch waits. If this stays, ask for a higher quota in the console.",
    ),
    Rule(
        codes=("throttling.burstrate", "limit_burst_rate"),
        verdict=Verdict.THROTTLED,
        what="Requests became more frequent too fast",
        advice="asrwatch waits and slows down.",
    ),
    Rule(
        codes=("throttling", "throttling.*", "limitrequests", "limit_requests"),
        verdict=Verdict.THROTTLED,
        what="The account's request limit is reached",
        advice="asrwatch waits. Lower requests_per_minute if others use the same account.",
    ),
    # Silence is not a failure.
    Rule(
        codes=("success_with_no_valid_fragment", "asr_response_have_no_words"),
        verdict=Verdict.SILENT,
        what="The cloud heard no speech",
    ),
    # Too long, too short, too large.
    Rule(
        codes=(
            "badrequest.toolarge",
            "invalidfile.audiolengtherror",
            "audio_duration_too_long",
            "file_too_large",
        ),
        verdict=Verdict.MISFIT,
        what="The recording is too long, too short or too large for this model",
        advice=_SHORTER,
    ),
    Rule(
        codes=("invalidparameter*", "invalid_*", "invalidurl", "internalerror.algo*"),
        says=r"longer than|too (long|large|big)|exceeded limit|audio duration|audio length"
        r"|size .*(exceed|larger|limit)|exceed.* (size|length|limit)|input length",
        verdict=Verdict.MISFIT,
        what="The recording is too long or too large for this model",
        advice=_SHORTER,
    ),
    # The file itself.
    Rule(
        codes=("invalidparameter*", "invalid_*", "invalidurl", "badrequest.unsupportedfileformat"),
        says=r"(file|audio|media) format is|format .*not supported|unsupported.*format",
        verdict=Verdict.RECORDING,
        what="The cloud cannot read this audio",
        advice=_TRANSCODE,
    ),
    Rule(
        codes=("invalidparameter*", "invalid_*"),
        says=r"audio is empty",
        verdict=Verdict.RECORDING,
        what="The file holds next to no audio",
        advice="Check the recorder. A file this short can be forgotten with `asrwatch forget`.",
    ),
    Rule(
        codes=(
            "badrequest.unsupportedfileformat",
            "no_valid_audio_error",
            "no_input_audio_error",
            "file_check_failed",
            "file_parse_failed",
            "file_normalize_failed",
            "mkv_parse_failed",
            "decode_error",
            "unsupported_format",
            "audio.*",
        ),
        verdict=Verdict.RECORDING,
        what="The cloud cannot read this audio",
        advice=_TRANSCODE,
    ),
    Rule(
        codes=("datainspectionfailed", "data_inspection_failed"),
        verdict=Verdict.RECORDING,
        what="The provider's content filter refused the recording",
        advice="Nothing can be done on this side.",
    ),
    # The audio's URL.
    Rule(
        says=r"missing content-length of multimodal url",
        verdict=Verdict.RECORDING,
        what="The server that holds the recording does not tell its size",
        advice="Make it send a Content-Length, then retry.",
    ),
    Rule(
        codes=("content_length_check_failed",),
        verdict=Verdict.RECORDING,
        what="The server that holds the recording tells a wrong size, or the file was still growing",
        advice="Check the server's Content-Length, then retry.",
    ),
    Rule(
        codes=("request_invalid_file_url_value",),
        verdict=Verdict.RECORDING,
        what="The recording's URL is malformed",
        advice="Use a storage whose URLs are plain, percent-encoded http or https.",
    ),
    Rule(
        codes=(
            "invalidparameter.datainspection",
            "badrequest.inputdownloadfailed",
            "invalidfile.downloadfailed",
            "invalidurl.timeout",
            "invalidurl.connectionrefused",
            "file_download_failed",
            "file_server_error",
            "file_403_forbidden",
            "file_404_not_found",
        ),
        verdict=Verdict.FETCH,
        what="The cloud could not fetch the recording from its URL",
        advice=_FRESH,
    ),
    Rule(
        codes=("invalidparameter*", "invalid_*"),
        says=r"unable to download|failed to download|cannot be downloaded|download .*time(d )?-?out",
        verdict=Verdict.FETCH,
        what="The cloud could not fetch the recording from its URL",
        advice=_FRESH,
    ),
    Rule(
        codes=("invalidurl",),
        verdict=Verdict.RECORDING,
        what="The cloud cannot use the recording's URL or what lies there",
        advice="Open the URL from another network; it must be plain http or https to an audio file.",
    ),
    # What passes.
    Rule(
        codes=("internalerror.algo*",),
        says=r"invalidparameter",
        verdict=Verdict.RECORDING,
        what="The cloud refused the request as malformed",
        advice=_REPORT,
    ),
    Rule(
        codes=("internalerror.timeout",),
        verdict=Verdict.PASSING,
        what="The cloud gave up after three hours without a result",
        advice="asrwatch submits the recording again.",
    ),
    Rule(
        codes=("requesttimeout", "responsetimeout"),
        verdict=Verdict.PASSING,
        what="The cloud was too slow",
        advice=f"{_LATER} If this stays, switch on the engine's `stream`.",
    ),
    Rule(
        codes=("modelservingerror", "modelunavailable"),
        verdict=Verdict.PASSING,
        what="The cloud has no capacity for this model just now",
        advice=_LATER,
    ),
    Rule(
        codes=(
            "internalerror",
            "internalerror.*",
            "internal_error",
            "systemerror",
            "modelservicefailed",
        ),
        verdict=Verdict.PASSING,
        what="The cloud had an error of its own",
        advice=_LATER,
    ),
    Rule(
        codes=("apiconnectionerror", "clientdisconnect"),
        verdict=Verdict.PASSING,
        what="The connection to the cloud broke",
        advice=f"{_LATER} Check the network and cloud.proxy if this stays.",
    ),
    Rule(
        codes=("file_trans_task_expired",),
        verdict=Verdict.GONE,
        what="The cloud no longer knows the task",
        advice="It may have been paid for. `asrwatch retry` asks and pays again.",
    ),
    # Our own doing, as far as the table can tell.
    Rule(
        codes=("serviceunavailableerror",),
        statuses=(400,),
        verdict=Verdict.RECORDING,
        what="The cloud refused the request's messages, despite the code's name",
        advice=_REPORT,
    ),
    Rule(
        codes=("unsupportedoperation",),
        verdict=Verdict.RECORDING,
        what="The task cannot be cancelled any more: only waiting ones can",
    ),
    Rule(
        codes=("conflict",),
        verdict=Verdict.RECORDING,
        what="The cloud says the name is taken",
        advice=_REPORT,
    ),
    Rule(
        says=r"invalid backend response received",
        verdict=Verdict.RECORDING,
        what="The cloud stumbled over a parameter",
        advice=_REPORT,
    ),
    Rule(
        codes=(
            "invalidparameter",
            "invalidparameter.*",
            "invalid_parameter_error",
            "invalid_request_error",
            "invalid_value",
            "badrequest.emptyinput",
            "badrequest.emptymodel",
            "badrequest.emptyparameters",
            "badrequest.illegalinput",
        ),
        verdict=Verdict.RECORDING,
        what="The cloud refused the request",
        advice="The cloud's own words say why. `asrwatch explain` shows what was asked.",
    ),
    # The upload's own codes, in XML (contract section 6.1; the rest is OSS's common set).
    Rule(
        codes=("entitytoolarge",),
        verdict=Verdict.RECORDING,
        what="The recording is too large for the cloud's temporary space",
        advice="Use storage public-dir or another storage of your own.",
    ),
    Rule(
        codes=("filealreadyexists", "expiredtoken", "securitytokenexpired"),
        verdict=Verdict.PASSING,
        what="The permission to upload was used already or ran out",
        advice="asrwatch fetches a fresh one.",
    ),
    Rule(
        codes=("requesttimetooskewed",),
        verdict=Verdict.PASSING,
        what="This machine's clock differs too much from the cloud's",
        advice="Set the clock (NTP). asrwatch goes on by itself afterwards.",
    ),
    Rule(
        codes=("malformedpostrequest",),
        verdict=Verdict.RECORDING,
        what="The cloud's upload space refused the form",
        advice=_REPORT,
    ),
)


def verdict(status: int, code: str, message: str) -> Rule | None:
    """The rule for an answer with this HTTP status, code and message; None: the table is silent."""
    return next((rule for rule in RULES if rule.fits(status, code, message)), None)
