"""Compares what the systemd service may write with what the configuration wants written."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from asrwatch.cli._finding import Finding, doubtful, good
from asrwatch.values import printable

__all__ = ["properties_of_service", "service_findings"]

_UNIT: Final = "asrwatch.service"
_PROPERTIES: Final = "LoadState,ActiveState,ProtectSystem,ProtectHome,ReadWritePaths,PrivateTmp"
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - named to warn about them


def properties_of_service() -> Mapping[str, str]:
    """What systemd says of the service; empty where there is no systemd to ask."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        return {}
    try:
        told = subprocess.run(  # noqa: S603 - systemd's own tool, fixed arguments
            [systemctl, "show", _UNIT, f"--property={_PROPERTIES}"],
            capture_output=True,
            timeout=5,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in told.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def service_findings(service: Mapping[str, str], written: Iterable[Path]) -> Iterator[Finding]:
    """Whether the service, as it is installed, can write where the configuration wants it to. Pure.

    Args:
        service: properties as `systemctl show` names them; empty where there is no systemd.
        written: folders that are written to, the state folder aside.
    """
    if service.get("LoadState") != "loaded":
        if service:
            yield good("systemd", f"{_UNIT} is not installed; nothing to compare")
        return
    allowed = [Path(path.lstrip("-+")) for path in service.get("ReadWritePaths", "").split()]
    barred = False
    for folder in dict.fromkeys(written):
        reason = _barred(folder, service, allowed)
        if reason:
            barred = True
            yield doubtful(
                "systemd",
                f"{_UNIT} cannot write {printable(str(folder))} ({reason}).",
                f"Run `systemctl edit asrwatch` and add ReadWritePaths={folder} (and ProtectHome=no if it "
                "lies in a home).",
            )
    if not barred:
        yield good(
            "systemd", f"{_UNIT} is {service.get('ActiveState', 'known')} and may write there"
        )


def _barred(folder: Path, service: Mapping[str, str], allowed: list[Path]) -> str:
    def below(roots: Iterable[Path]) -> bool:
        return any(folder == root or root in folder.parents for root in roots)

    home = service.get("ProtectHome", "no")
    if below(_HOMES) and home in {"yes", "tmpfs"}:
        return f"ProtectHome={home}"
    if service.get("PrivateTmp") == "yes" and below(_TEMPORARY):
        return "PrivateTmp=yes"
    if below(allowed):
        return ""
    if below(_HOMES) and home == "read-only":
        return "ProtectHome=read-only"
    return "ProtectSystem=strict" if service.get("ProtectSystem") == "strict" else ""
