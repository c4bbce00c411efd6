"""`.asrwatch-skip` in a folder leaves it alone, with everything below it, for as long as it lies there."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.scan import Folder, look_at, scan
from asrwatch.inbox.signs import skipped_by
from asrwatch.sandbox import Knobs, Sandbox
from asrwatch.settings.inbox import InboxSettings

SKIP = ".asrwatch-skip"


def rule(root: Path, marker: str | None = SKIP) -> IgnoreRule:
    """An inbox that takes wav files."""
    return IgnoreRule(root=bytes(root), containers=("wav",), skip_marker=marker)


def entered(wanted: IgnoreRule) -> set[str]:
    """The folders that a pass enters."""
    found = set()
    for folder in scan(wanted):
        assert isinstance(folder, Folder)
        found.add(Path(folder.path.decode()).name)
    return found


def test_a_pass_stays_out_of_folders_that_are_left_alone(tmp_path: Path) -> None:
    """Neither a folder with the marker nor one below it is entered; nor is a single file in it looked at."""
    (tmp_path / "old" / "deep").mkdir(parents=True)
    (tmp_path / "new").mkdir()
    talk = tmp_path / "old" / "deep" / "talk.wav"
    talk.write_bytes(b"sound")
    assert entered(rule(tmp_path)) == {tmp_path.name, "old", "deep", "new"}
    (tmp_path / "old" / SKIP).touch()
    assert entered(rule(tmp_path)) == {tmp_path.name, "new"}
    assert entered(rule(tmp_path, None)) == {tmp_path.name, "old", "deep", "new"}
    assert list(look_at(rule(tmp_path), bytes(talk.parent), ["talk.wav"])) == [bytes(talk)]
    assert skipped_by(bytes(talk), bytes(tmp_path), SKIP) == bytes(tmp_path / "old")
    assert "holds .asrwatch-skip" in (rule(tmp_path).why_not(bytes(talk)) or "")
    (tmp_path / SKIP).touch()
    assert entered(rule(tmp_path)) == set()


@pytest.mark.parametrize(("written", "meant"), [("off", None), (False, None), (".leave", ".leave")])
def test_the_marker_has_another_name_or_none(
    tmp_path: Path, written: object, meant: str | None
) -> None:
    """`skip_marker` names the marker; `off` switches it off."""
    settings = InboxSettings.model_validate({"path": str(tmp_path), "skip_marker": written})
    assert settings.ignore_rule().skip_marker == meant


def test_a_folder_is_left_alone_until_the_marker_goes(
    installed: Installed, sandbox: Sandbox
) -> None:
    """While the daemon runs the marker comes and goes: what lies there is no recording, then it is."""
    folder = installed.inbox / "private"
    folder.mkdir()
    (folder / SKIP).touch()
    installed.start()
    talk = write_wav(folder / "talk.wav")
    write_wav(installed.inbox / "other.wav", seconds=2)
    installed.text_of("other")
    told = installed.call("explain", str(talk)).stdout
    assert "left alone" in told
    assert "asrwatch-skip" in told
    assert not (folder / "talk.txt").exists()
    assert len(sandbox.bill.paid) == 1
    (folder / SKIP).unlink()
    wait_for((folder / "talk.txt").exists)
    assert len(sandbox.bill.paid) == 2


def test_what_waits_is_let_go_and_what_is_paid_is_delivered(
    installed: Installed, sandbox: Sandbox
) -> None:
    """A marker that comes later: a task that is paid for is delivered, what nobody was asked about is let go."""
    installed.engines = {"qwen3-asr-flash": {"longest": "2s"}}
    installed.inbox_keys = {"formats": ["txt"]}
    folder = installed.inbox / "calls"
    folder.mkdir()
    write_wav(folder / "paid.wav", seconds=3)
    sandbox.knobs = Knobs(rate_limits=False, queue_time=timedelta(seconds=20))
    daemon = installed.start()
    wait_for(lambda: installed.status()["counts"]["submitted"] == 1)
    assert installed.stop(daemon) == 0
    write_wav(folder / "waits.wav")
    installed.more = {"budget": {"day": {"audio": "1s"}}}
    daemon = installed.start()
    wait_for(lambda: installed.status()["counts"]["staged"] == 1)
    (folder / SKIP).touch()
    assert installed.stop(daemon) == 0
    installed.more = {}
    installed.start()
    wait_for((folder / "paid.txt").exists)
    wait_for(lambda: '"left-alone"' in installed.log.read_text())
    assert json.dumps(installed.status()["counts"]).count("1") == 1
    assert not (folder / "waits.txt").exists()
    assert len(sandbox.bill.paid) == 1
    (folder / SKIP).unlink()
    wait_for((folder / "waits.txt").exists)
