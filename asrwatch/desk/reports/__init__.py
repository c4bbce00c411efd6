"""What people are told: each report has a JSON form.

It is what travels through the control socket and what `--json` prints: paths as text (bytes that are not UTF-8
as surrogate escapes), dates as ISO 8601, spans as seconds. What the reports consist of is in the modules of this
folder.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from asrwatch.desk.reports.explanation import Explanation
from asrwatch.desk.reports.lately import Log, Transcripts
from asrwatch.desk.reports.status import Health, Status
from asrwatch.desk.reports.treatment import Booked, ToldAgain, Treatment

__all__ = ["Report", "from_json", "to_json"]

ReportT = TypeVar("ReportT")

Report = Status | Health | Explanation | Treatment | Booked | Transcripts | Log | ToldAgain

_ADAPTERS: Mapping[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind)
    for kind in (Status, Health, Explanation, Treatment, Booked, Transcripts, Log, ToldAgain)
}


def to_json(report: Report) -> Any:
    """The JSON form, ready for `json.dumps` (with `ensure_ascii`, since paths may hold surrogates)."""
    return _ADAPTERS[type(report)].dump_python(report, mode="json")


def from_json(kind: type[ReportT], written: Any) -> ReportT:
    """Read a report's JSON form.

    Raises:
        pydantic.ValidationError: it is no such report.
    """
    report: ReportT = _ADAPTERS[kind].validate_python(written)
    return report
