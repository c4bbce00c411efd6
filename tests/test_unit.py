"""`asrwatch unit`: every folder of the configuration is covered, in words that systemd reads as they are meant."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from systemd_helpers import complaints, is_within, needs_systemd, put, shipped

from asrwatch.cli._dropin import Wanted, system_dropin, user_dropin
from asrwatch.cli._needs import folder_needs
from asrwatch.cli._unitfile import is_nameable, quoted
from asrwatch.cli.unit import unit as print_unit
from asrwatch.config import Settings
from asrwatch.errors import ConfigError
from asrwatch.values import printable

MANAGER = shutil.which("systemd", path="/lib/systemd:/usr/lib/systemd")
HOMES = ("/home", "/root", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the folders meant
ODD = (
    "/srv/plain",
    "/srv/with space",
    "/srv/tab\there",
    "/srv/100%h",
    "/srv/col:on",
    '/srv/quo"te',
    "/srv/sn'ow",
    "/srv/back\\slash",
    "/srv/back\\",
    "/srv/dollar$HOME",
    "/srv/#hash ;semi",
    "/srv/übung/録音",
    "/srv/-dash",
    "/srv/\x1b[31mred\u2028",
)


def settings_of(*inboxes: dict[str, Any], **more: Any) -> Settings:
    """Settings with these inboxes."""
    return Settings.model_validate({"inboxes": list(inboxes), **more}, context={"base": Path("/")})


def wanted_of(settings: Settings) -> Wanted:
    """What a configuration at its usual place asks of the service."""
    written = "state_dir" in settings.model_fields_set
    return Wanted(
        folders=folder_needs(settings),
        state_dir=settings.state_dir if written else None,
        key_file=settings.cloud.api_key_file,
        config=Path("/etc/asrwatch/asrwatch.yaml"),
    )


def words(value: str) -> list[str]:
    """A setting's words as systemd.syntax(7) splits them; a colon outside of quotes splits, too."""
    found, word, inside, escaped = [""], False, "", False
    for character in value:
        if escaped:
            found[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif inside:
            inside = "" if character == inside else inside
            found[-1] += character if inside else ""
        elif character in "\"'":
            inside, word = character, True
        elif character in " \t:":
            found, word = ([*found, ""] if word or found[-1] else found), False
        else:
            found[-1] += character
    return [each.replace("%%", "%") for each in found if each]


@dataclass
class Service:
    """What a unit and its drop-in let the service see and write: a second opinion, by systemd.exec(5)."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *texts: str) -> "Service":
        """The settings of these files, the later ones added to the earlier."""
        service = cls()
        for line in "\n".join(texts).split("\n"):
            key, equals, value = line.partition("=")
            if not equals or line.startswith("#"):
                continue
            service.last[key] = value
            service.lists[key] = [*service.lists.get(key, []), value] if value else []
        return service

    def paths(self, key: str) -> list[str]:
        """Where a list of paths, or of binds, applies."""
        found = [words(value) for value in self.lists.get(key, [])]
        return [each[-1].lstrip("-") for each in found]

    def sees(self, path: str) -> bool:
        """Whether the service sees what is there."""
        if below(path, self.paths("BindPaths") + self.paths("BindReadOnlyPaths")):
            return True
        if below(path, HOMES):
            return self.last["ProtectHome"] == "no"
        return not (below(path, TEMPORARY) and self.last["PrivateTmp"] == "yes")

    def writes(self, path: str) -> bool:
        """Whether the service may write there."""
        if below(path, self.paths("BindPaths")):
            return True
        state = [f"/var/lib/{name}" for name in self.lists.get("StateDirectory", [])]
        return self.sees(path) and below(path, [*self.paths("ReadWritePaths"), *state])


def below(path: str, roots: Any) -> bool:
    """Whether a path is one of these, or lies in one."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


CONFIGURATIONS: dict[str, Settings] = {
    "beside": settings_of({"path": "/srv/in"}),
    "elsewhere": settings_of({"path": "/srv/in", "output": "/srv/out"}),
    "moving": settings_of(
        {"path": "/srv/in", "output": "/srv/out", "after": {"move": "/mnt/done"}}
    ),
    "deleting": settings_of({"path": "/srv/in", "output": "/srv/out", "after": "delete"}),
    "nested": settings_of(
        {"path": "/srv/in", "output": "/srv/in-out/deep"},
        {"path": "/srv/other", "output": "/srv/in-out"},
    ),
    "a home": settings_of({"path": "/home/anna/In"}),
    "read in a home": settings_of({"path": "/home/anna/In", "output": "/home/anna/In/.out"}),
    "two homes": settings_of(
        {"path": "/home/anna/In", "name": "a"}, {"path": "/root/In", "name": "b"}
    ),
    "all homes": settings_of({"path": "/home"}),
    "everything": settings_of({"path": "/", "output": "/srv/out", "exclude": ["srv/"]}),
    "temporary": settings_of({"path": "/tmp/in"}),  # noqa: S108 - the very folder meant
    "all temporary": settings_of({"path": "/var/tmp"}),  # noqa: S108 - the very folder meant
    "published": settings_of(
        {"path": "/srv/pub/in"},
        storage={"use": "public-dir", "root": "/srv/pub", "url": "https://example.org/x"},
    ),
    "published from a home": settings_of(
        {"path": "/srv/in"},
        storage={"use": "public-dir", "root": "/home/www/pub", "url": "https://example.org/x"},
    ),
    "state of its own": settings_of({"path": "/srv/in"}, state_dir="/srv/state of asrwatch"),
    "state made by systemd": settings_of({"path": "/srv/in"}, state_dir="/var/lib/voices/one"),
    "state as shipped": settings_of({"path": "/srv/in"}, state_dir="/var/lib/asrwatch"),
    "odd names": settings_of(
        *({"path": path, "name": f"n{n}", "output": f"{path}/out"} for n, path in enumerate(ODD)),
        *({"path": f"/home/a{path}", "name": f"h{n}"} for n, path in enumerate(ODD)),
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_folder_is_covered(name: str) -> None:
    """Whatever is configured, the service sees each folder, writes where it must, and nowhere else."""
    settings = CONFIGURATIONS[name]
    dropin = "\n".join(system_dropin(wanted_of(settings)))
    service = Service.of(shipped("asrwatch.service"), dropin)
    for inbox in settings.inboxes:
        output = inbox.path if inbox.output == "beside" else inbox.output
        assert isinstance(output, Path)
        moved = [inbox.move_to] if inbox.move_to else []
        assert service.sees(str(inbox.path))
        for folder in (output, *moved, *([inbox.path] if inbox.after != "keep" else [])):
            assert service.writes(str(folder)), folder
    if "state_dir" in settings.model_fields_set:
        assert service.writes(str(settings.state_dir))
    written = [str(need.path) for need in folder_needs(settings) if need.write]
    allowed = service.paths("ReadWritePaths") + service.paths("BindPaths")
    assert {path for path in allowed if path not in written} <= {str(settings.state_dir)}
    waited = service.lists["RequiresMountsFor"]
    assert {quoted(str(need.path)) for need in folder_needs(settings)} <= set(waited)


@needs_systemd
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_printed_is_sound(tmp_path: Path, name: str) -> None:
    """Systemd has no complaint about the unit with the drop-in, and it is as hardened as promised."""
    dropin = "\n".join(system_dropin(wanted_of(CONFIGURATIONS[name])))
    unit = put(tmp_path, shipped("asrwatch.service"), dropin)
    assert complaints(unit) == []
    homes = "ProtectHome" in dropin
    assert is_within(unit, 15 if homes else 12 if "PrivateTmp" in dropin else 11)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run systemd as another user")
@pytest.mark.skipif(MANAGER is None, reason="systemd is not installed here")
def test_systemd_reads_names_as_they_are_meant() -> None:
    """Systemd's own reader finds the very paths in the unit that were put into it, however odd."""
    needs = folder_needs(CONFIGURATIONS["odd names"])
    dropin = "\n".join(system_dropin(Wanted(folders=needs)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        put(Path(folder), shipped("asrwatch.service"), dropin)
        told = subprocess.run(
            [str(MANAGER), "--test", "--system", "--unit=asrwatch.service"],
            env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            user=65_534,
            group=65_534,
            extra_groups=[],
            capture_output=True,
            check=False,
            timeout=60,
        )
    if told.returncode != 0:
        pytest.skip(f"systemd does not test units here: {told.stderr[-200:]!r}")
    text = told.stdout.decode("utf-8", "replace").partition("-> Unit asrwatch.service:")[2]
    written, bound = [], []
    for line in text.partition("-> Unit ")[0].split("\n"):
        key, _, value = line.strip("\t").partition(": ")
        if key == "ReadWritePaths":
            written.append(value)
        if key == "BindPaths":
            bound.append(value)
    # the dump sets spaces between paths, and each of these ends with /out
    assert set(f"{written[0]} ".split("/out ")[:-1]) == set(ODD)
    assert {f"/home/a{path}:/home/a{path}:rbind" for path in ODD} == set(bound)


@pytest.mark.parametrize("name", ["line\nbreak", "carriage\rreturn", "bytes\udcff"])
def test_what_no_unit_can_name_is_told(name: str) -> None:
    """A name that would break the unit's lines is left out, and told: it never becomes a setting."""
    path = f"/srv/{name}\nReadWritePaths=/"
    wanted = wanted_of(settings_of({"path": path, "name": "x"}))
    assert wanted.unnameable == (Path(path),)
    dropin = "\n".join(system_dropin(wanted))
    assert "ReadWritePaths" not in dropin
    assert not is_nameable(Path(path))
    assert dropin.isascii()


@pytest.mark.parametrize("path", ODD)
def test_quoted_names_are_read_back(path: str) -> None:
    """What is quoted comes out of systemd's syntax as it went in."""
    assert words(quoted(path)) == [path]


def test_links_are_followed_to_where_the_folder_lies(tmp_path: Path) -> None:
    """A folder reached by a symbolic link is opened where it lies, and seen where it is configured."""
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    lines = system_dropin(wanted_of(settings_of({"path": str(link), "name": "x"})))
    assert f"BindPaths={quoted(str(real))}:{quoted(str(link))}" in lines
    assert {f"RequiresMountsFor={quoted(str(each))}" for each in (link, real)} <= set(lines)


def test_the_key_becomes_a_credential() -> None:
    """A configured key file is loaded by systemd in place of the shipped one; percent signs mean themselves."""
    settings = settings_of({"path": "/srv/in"}, cloud={"api_key_file": "/etc/keys/100%.key"})
    service = Service.of(shipped("asrwatch.service"), "\n".join(system_dropin(wanted_of(settings))))
    assert service.lists["LoadCredential"] == ["dashscope-api-key:/etc/keys/100%%.key"]


def test_a_users_unit_is_told_of_mounts_only() -> None:
    """A user's manager hides nothing from the service, so it is told what to wait for, and no more."""
    needs = folder_needs(settings_of({"path": "/home/anna/In"}))
    lines = user_dropin(Wanted(folders=needs, config=Path("/c.yaml")), Path("/c.yaml"))
    assert [line for line in lines if "=" in line] == ["RequiresMountsFor=/home/anna/In"]
    elsewhere = user_dropin(Wanted(folders=needs, config=Path("/c d.yaml")), Path("/c.yaml"))
    assert 'Environment="ASRWATCH_CONFIG=/c d.yaml"' in elsewhere


def unit_of(tmp_path: Path, text: str, **options: bool) -> int:
    """What `asrwatch unit` ends with for a configuration; what it says is captured."""
    file = tmp_path / "asrwatch.yaml"
    file.write_text(text)
    try:
        print_unit(file, full=options.get("full", False), user=options.get("user", False))
    except typer.Exit as ended:
        return ended.exit_code
    return 0


@needs_systemd
def test_the_whole_unit_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--full` prints a unit that works alone: this program, these folders, no complaint, the same exposure."""
    assert unit_of(tmp_path, "inboxes: [{path: /srv/in, output: /srv/out}]", full=True) == 0
    told = capsys.readouterr().out
    unit = put(tmp_path / "unit", told)
    assert complaints(unit) == []
    assert is_within(unit, 11)
    assert "ReadWritePaths=/srv/out\n" in told
    assert f"ExecStart={Path(sys.executable).parent / 'asrwatch'} run\n" in told
    assert unit_of(tmp_path, "inboxes: [{path: /srv/in}]", full=True, user=True) == 0
    assert complaints(put(tmp_path / "user", capsys.readouterr().out), user=True) == []


def test_what_else_is_to_be_done_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing folders, a key file the account cannot read and $OUTPUT_DIR are told or taken along."""
    monkeypatch.setenv("OUTPUT_DIR", "/srv/out")
    text = "cloud: {api_key_file: /k}\ninboxes: [{path: /srv/in}]"
    assert unit_of(tmp_path, text) == 0
    told = capsys.readouterr()
    assert "/srv/out/in is not there yet (output of inbox in): create it first." in told.err
    assert "api_key_file" in told.err
    assert "Environment=OUTPUT_DIR=/srv/out" in told.out
    assert "setfacl -R -m u:asrwatch:rwX,d:u:asrwatch:rwX /srv/out/in" in told.out
    assert "asrwatch.service.d/folders.conf" in told.out


def test_unnameable_folders_end_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that cannot be covered is no success."""
    assert unit_of(tmp_path, 'inboxes: [{path: "/srv/a\\nb"}]') == 1
    told = capsys.readouterr()
    assert f"NOT COVERED, as no unit can name it: {printable('/srv/a' + chr(10) + 'b')}" in told.out
    assert "rename it" in told.err


def test_without_inboxes_there_is_nothing_to_print(tmp_path: Path) -> None:
    """No inbox is a configuration that cannot be used."""
    with pytest.raises(ConfigError, match="no folder to watch"):
        unit_of(tmp_path, "workers: 2")
