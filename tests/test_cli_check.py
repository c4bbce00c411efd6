"""What `check` finds: the service compared with the configuration, folders tried for real."""

import errno
import json
import os
import pwd
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from desk_helpers import settings_of

from asrwatch.cli._barriers import advice_on
from asrwatch.cli._finding import Level
from asrwatch.cli._folders import inbox_findings, space_findings, state_findings
from asrwatch.cli._needs import Need, written_folders
from asrwatch.cli._probing import probe_name, try_writing
from asrwatch.cli._service import service_findings
from asrwatch.files import sweep
from asrwatch.inbox.mounts import Mount

STRICT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "ReadWritePaths": "/srv/dictation -/srv/optional",
    "BindPaths": "/home/anna/Bound:/home/anna/Bound:rbind",
    "BindReadOnlyPaths": "-/srv/read:/home/anna/Read:rbind",
}


def need(folder: str, *, write: bool = True) -> Need:
    """A folder of an inbox."""
    return Need(path=Path(folder), why="inbox x", write=write)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("/srv/dictation", None),
        ("/srv/dictation/below", None),
        ("/srv/optional", None),
        ("/srv/other", "ProtectSystem=strict"),
        ("/srv/dictation2", "ProtectSystem=strict"),
        ("/home/anna/Recordings", "ProtectHome=yes"),
        ("/home/anna/Bound/below", None),
        ("/home/anna/Read", "ProtectHome=yes"),
        ("/tmp/recordings", "PrivateTmp=yes"),  # noqa: S108 - the very folder meant
    ],
)
def test_the_service_must_be_let_write(folder: str, reason: str | None) -> None:
    """A folder the installed unit cannot write is a warning with the setting that bars it, and the remedy."""
    (finding,) = service_findings(STRICT, [need(folder)])
    if reason is None:
        assert finding.level is Level.OK
    else:
        assert finding.level is Level.WARN
        assert reason in finding.said
        assert folder in finding.said
        assert "asrwatch unit" in finding.advice


def test_the_service_must_see_what_it_only_reads() -> None:
    """An inbox that is only read needs no leave to write, but it must not be hidden."""
    seen = [need(path, write=False) for path in ("/srv/other", "/home/anna/Read")]
    assert [each.level for each in service_findings(STRICT, seen)] == [Level.OK]
    (finding,) = service_findings(STRICT, [need("/home/anna/In", write=False)])
    assert "cannot see /home/anna/In (inbox x): ProtectHome=yes" in finding.said


def test_read_only_homes_can_be_opened() -> None:
    """With ProtectHome=read-only a folder named in ReadWritePaths is writable, others are not."""
    unit = {**STRICT, "ProtectHome": "read-only", "ReadWritePaths": "/home/anna/In"}
    levels = [each.level for each in service_findings(unit, [need("/home/anna/In")])]
    assert levels == [Level.OK]
    (finding,) = service_findings(unit, [need("/home/anna/Out")])
    assert "ProtectHome=read-only" in finding.said


def test_without_a_service_there_is_nothing_to_compare() -> None:
    """No systemd is silence; no unit is said, and both are fine."""
    assert list(service_findings({}, [need("/srv/x")])) == []
    (finding,) = service_findings({"LoadState": "not-found"}, [need("/srv/x")])
    assert finding.level is Level.OK


def test_every_written_folder_is_named(tmp_path: Path) -> None:
    """Outputs, the place originals are moved to, and an inbox that originals leave are all written to."""
    beside = settings_of(tmp_path).inboxes[0]
    assert written_folders(beside) == {"output": tmp_path / "inbox"}
    moving = settings_of(
        tmp_path, output=str(tmp_path / "out"), after={"move": str(tmp_path / "done")}
    ).inboxes[0]
    assert set(written_folders(moving).values()) == {
        tmp_path / "out",
        tmp_path / "done",
        tmp_path / "inbox",
    }


def test_folders_are_tried_and_left_clean(tmp_path: Path) -> None:
    """A missing output folder is fine if it can be created; nothing is created or left by looking."""
    (tmp_path / "inbox").mkdir()
    settings = settings_of(tmp_path, output=str(tmp_path / "out" / "deep"))
    found = [*inbox_findings(settings), *state_findings(settings), *space_findings(settings)]
    assert all(each.level is not Level.FAIL for each in found)
    assert any("is created when needed" in each.said for each in found)
    assert {each.name for each in tmp_path.iterdir()} == {"inbox"}
    assert list((tmp_path / "inbox").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "told"), [(0o700, None), (0o755, "read"), (0o777, "change"), (0o1777, "change")]
)
def test_a_state_that_others_see_is_told(tmp_path: Path, mode: int, told: str | None) -> None:
    """A state folder that is not its owner's alone is a warning: it holds transcripts and the books."""
    settings = settings_of(tmp_path)
    settings.state_dir.mkdir()
    settings.state_dir.chmod(mode)
    doubts = [each for each in state_findings(settings) if each.level is Level.WARN]
    assert [f"everybody may {told} it" in each.said for each in doubts] == ([True] if told else [])
    assert all(f"chmod 700 {settings.state_dir}" == each.advice for each in doubts)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """An output "folder" that is a file fails now, not when the first transcript is paid for."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "out").touch()
    settings = settings_of(tmp_path, output=str(tmp_path / "out"))
    failed = [each for each in inbox_findings(settings) if each.level is Level.FAIL]
    assert [each.about for each in failed] == ["inbox inbox output"]
    assert "Not a directory" in failed[0].said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    """A folder without write permission fails."""
    (tmp_path / "inbox").mkdir(mode=0o500)
    failed = [each for each in inbox_findings(settings_of(tmp_path)) if each.level is Level.FAIL]
    assert "Permission denied" in failed[0].said


EROFS, EACCES, ENOENT = (
    OSError(number, os.strerror(number)) for number in (errno.EROFS, errno.EACCES, errno.ENOENT)
)
DISK = Mount(point=b"/", file_system="ext4")


@pytest.mark.parametrize(
    ("folder", "error", "mounts", "advice"),
    [
        ("/srv/out", EROFS, [replace(DISK, read_only=True)], "ReadWritePaths=/srv/out is missing"),
        ("/srv/out", EROFS, [replace(DISK, device_read_only=True)], "Remount it writable"),
        (
            "/srv/out",
            EROFS,
            [DISK, Mount(point=b"/srv", file_system="xfs", read_only=True, device_read_only=True)],
            "Remount it writable",
        ),
        (
            "/home/anna/In",
            EACCES,
            [DISK, Mount(point=b"/home", file_system="tmpfs", read_only=True)],
            "ProtectHome= of the service hides it: `asrwatch unit`",
        ),
        (
            "/root/In",
            ENOENT,
            [DISK, Mount(point=b"/root", file_system="tmpfs")],
            "ProtectHome= of the service hides it",
        ),
        ("/home/anna/In", ENOENT, [DISK], "In a service with ProtectHome= homes look empty"),
        ("/tmp/in", ENOENT, [DISK], "A service with PrivateTmp=yes"),  # noqa: S108 - meant so
        ("/mnt/nas/in", ENOENT, [DISK], "RequiresMountsFor="),
        ("/", EACCES, [DISK], "setfacl -R -m u:"),
        ("/", OSError(errno.ENOSPC, "x"), [DISK], "Free some space"),
        ("/", OSError(errno.EDQUOT, "x"), [DISK], "raise the quota"),
        ("/", OSError(errno.ESTALE, "x"), [DISK], "Its disk or share does not answer"),
        ("/", OSError(errno.EIO, "x"), [DISK], "dmesg"),
        ("/", OSError(errno.ENOTDIR, "x"), [DISK], "Something else is where the folder should be"),
        ("/", OSError(errno.EMFILE, "x"), [DISK], "choose another folder"),
    ],
)
def test_the_setting_that_bars_is_named(
    folder: str, error: OSError, mounts: list[Mount], advice: str
) -> None:
    """Whatever the system says no with, the advice names what says so, and what opens it."""
    assert advice in advice_on(Path(folder), error, write=True, mounts=mounts)


def test_whose_folder_it_is_is_told(tmp_path: Path) -> None:
    """Without permission, owner and mode are told, and the command that gives it to the very account."""
    advice = advice_on(tmp_path, EACCES, write=False)
    us = pwd.getpwuid(os.geteuid()).pw_name
    assert f"{tmp_path} belongs to {us}:" in advice
    assert f"`setfacl -R -m u:{us}:rX,d:u:{us}:rX {tmp_path}`" in advice
    assert advice_on(tmp_path / "gone", EACCES, write=True).startswith(f"{tmp_path}/gone cannot be")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter everywhere")
def test_where_the_way_ends_is_told(tmp_path: Path) -> None:
    """A folder above that may not be entered is the one that is named."""
    closed = tmp_path / "closed"
    (closed / "in").mkdir(parents=True)
    closed.chmod(0o000)
    try:
        settings = settings_of(tmp_path, path=str(closed / "in"))
        failed = [each for each in inbox_findings(settings) if each.level is Level.FAIL]
    finally:
        closed.chmod(0o700)
    assert "may not pass through it: `setfacl -m u:" in failed[0].advice
    assert str(closed) in failed[0].advice


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_check_inside_a_service_names_the_settings(tmp_path: Path) -> None:
    """With the folders mounted as a service would see them, each setting in the way is named, and nothing written."""
    for name in ("in", "out", "state"):
        (tmp_path / name).mkdir()
    config = tmp_path / "asrwatch.yaml"
    config.write_text(
        json.dumps(
            {
                "state_dir": str(tmp_path / "state"),
                "inboxes": [
                    {"path": str(tmp_path / "in"), "output": str(tmp_path / "out")},
                    {"path": "/home/somebody/In", "name": "home"},
                ],
            }
        )
    )
    script = (
        "set -e; mount --make-rprivate /; mount -t tmpfs -o mode=000 none /home; "
        'mount --bind "$1/out" "$1/out"; mount -o remount,ro,bind "$1/out"; '
        'exec "$2" -m asrwatch check --json -c "$1/asrwatch.yaml"'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DASHSCOPE_API_KEY": "sk-x"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if not done.stdout:
        pytest.skip(f"no mounts here: {done.stderr[-200:]}")
    failed = {each["about"]: each for each in json.loads(done.stdout) if each["level"] == "fail"}
    assert done.returncode == 1
    assert set(failed) == {"inbox in output", "inbox home"}
    assert f"{tmp_path}/out cannot be written: Read-only" in failed["inbox in output"]["said"]
    assert f"ReadWritePaths={tmp_path}/out is missing" in failed["inbox in output"]["advice"]
    assert "ProtectHome= of the service hides it" in failed["inbox home"]["advice"]
    assert [each for name in ("in", "out", "state") for each in (tmp_path / name).iterdir()] == []


def test_a_probe_is_no_recording_and_does_not_stay(tmp_path: Path) -> None:
    """The file that `check` tries with is nothing an inbox takes up, and one left by a crash is swept away."""
    inbox = settings_of(tmp_path, include=["*"]).inboxes[0]
    inbox.path.mkdir()
    try_writing(inbox.root)
    assert list(inbox.path.iterdir()) == []
    first = probe_name()
    for name in (first, first + b"-2"):
        assert not inbox.ignore_rule().wants_file(inbox.root + b"/" + name)
        (inbox.path / os.fsdecode(name)).touch()
    assert sweep(inbox.root) == 2


def test_ignored_folders_need_no_watch(tmp_path: Path) -> None:
    """Folders that are never entered are not counted against the system's watches."""
    for name in ("a/b", ".git/objects", "c"):
        (tmp_path / "inbox" / name).mkdir(parents=True)
    first = next(iter(inbox_findings(settings_of(tmp_path))))
    assert "4 folders" in first.said
    flat = next(iter(inbox_findings(settings_of(tmp_path, recursive=False))))
    assert "1 folder," in flat.said
