"""What `check` finds: the service compared with the configuration, folders tried for real."""

import os
from pathlib import Path

import pytest
from desk_helpers import settings_of

from asrwatch.cli._finding import Level
from asrwatch.cli._folders import inbox_findings, space_findings, state_findings
from asrwatch.cli._needs import Need, written_folders
from asrwatch.cli._service import service_findings

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


def test_ignored_folders_need_no_watch(tmp_path: Path) -> None:
    """Folders that are never entered are not counted against the system's watches."""
    for name in ("a/b", ".git/objects", "c"):
        (tmp_path / "inbox" / name).mkdir(parents=True)
    first = next(iter(inbox_findings(settings_of(tmp_path))))
    assert "4 folders" in first.said
    flat = next(iter(inbox_findings(settings_of(tmp_path, recursive=False))))
    assert "1 folder," in flat.said
