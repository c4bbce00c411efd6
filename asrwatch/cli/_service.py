"""Compares what the systemd service may see and write with what the configuration wants."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from asrwatch.children import bare_environment
from asrwatch.cli._dropin import HOMES, TEMPORARY, is_below
from asrwatch.cli._finding import Finding, doubtful, good
from asrwatch.cli._needs import Need
from asrwatch.values import printable

__all__ = ["properties_of_service", "service_findings"]

_UNIT: Final = "asrwatch.service"
_PROPERTIES: Final = (
    "LoadState,ActiveState,ProtectSystem,ProtectHome,ReadWritePaths,BindPaths,BindReadOnlyPaths,"
    "PrivateTmp"
)


def properties_of_service() -> Mapping[str, str]:
    """What systemd says of the service; empty where there is no systemd to ask."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        return {}
    try:
        told = subprocess.run(  # noqa: S603 - systemd's own tool, fixed arguments
            [systemctl, "show", _UNIT, f"--property={_PROPERTIES}"],
            env={**bare_environment(), "LC_ALL": "C"},
            capture_output=True,
            timeout=5,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in told.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def service_findings(service: Mapping[str, str], needs: Iterable[Need]) -> Iterator[Finding]:
    """Whether the service, as it is installed, can work where the configuration wants it to. Pure.

    Args:
        service: properties as `systemctl show` names them; empty where there is no systemd.
        needs: the folders of the configuration, the state folder aside.
    """
    if service.get("LoadState") != "loaded":
        if service:
            yield good("systemd", f"{_UNIT} is not installed; nothing to compare")
        return
    barred = False
    for need in needs:
        reason = _barred(need, service)
        if reason:
            barred = True
            yield doubtful(
                "systemd",
                f"{_UNIT} cannot {'write' if need.write else 'see'} {printable(str(need.path))} "
                f"({printable(need.why)}): {reason}.",
                "`asrwatch unit` prints the drop-in that lets it.",
            )
    if not barred:
        yield good(
            "systemd", f"{_UNIT} is {service.get('ActiveState', 'known')} and may write there"
        )


def _barred(need: Need, service: Mapping[str, str]) -> str:
    """The setting that is in the way; empty where none is."""
    bound = _bound(service.get("BindPaths", ""))
    if is_below(need.path, bound):
        return ""
    if not need.write and is_below(need.path, _bound(service.get("BindReadOnlyPaths", ""))):
        return ""
    home = service.get("ProtectHome", "no")
    if is_below(need.path, HOMES) and home in {"yes", "tmpfs"}:
        return f"ProtectHome={home}"
    if service.get("PrivateTmp") == "yes" and is_below(need.path, TEMPORARY):
        return "PrivateTmp=yes"
    allowed = [Path(path.lstrip("-+")) for path in service.get("ReadWritePaths", "").split()]
    if not need.write or is_below(need.path, allowed) or is_below(need.real, allowed):
        return ""
    if is_below(need.path, HOMES) and home == "read-only":
        return "ProtectHome=read-only"
    return "ProtectSystem=strict" if service.get("ProtectSystem") == "strict" else ""


def _bound(shown: str) -> list[Path]:
    """The places where something is bound, as systemd shows them: `source:destination:options` each."""
    words = [word.lstrip("-").split(":") for word in shown.split()]
    return [Path(word[1] if len(word) > 1 else word[0]) for word in words]
