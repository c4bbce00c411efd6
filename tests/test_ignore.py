import os
from pathlib import Path

import pytest
from inbox_helpers import raw, rule_for
from swap_helpers import swapping

from asrwatch.inbox.mounts import (
    WatchMode,
    choose,
    events_lie,
    file_system_of,
    find_mount,
    is_network,
    parse_mountinfo,
)

IN = Path("/in")


@pytest.mark.parametrize(
    "name",
    [
        b".hidden.wav",
        b"._twin.wav",
        b".asrwatch-1a2b.wav",
        b".syncthing.memo.wav.tmp",
        b"~syncthing~memo.wav",
        b"memo.sync-conflict-20240101-120000-ABCDEFG.wav",
        b"MEMO.SYNC-CONFLICT-20240101-120000-ABCDEFG.WAV",
        b"memo.wav.part",
        b"memo.wav.PARTIAL",
        b"memo.wav.filepart",
        b"memo.wav.crdownload",
        b"memo.wav.download",
        b"memo.wav.!ut",
        b"memo.wav.tmp",
        b"memo.temp",
        b"memo.swp",
        b"memo.wav.lock",
        b"memo.wav.processing",
        b"memo.wav~",
        b"double_click_to_convert_01.zoom",
        b"memo.wav@SynoEAStream",
        b"memo.wav@SynoResource",
        b".SYNOPPSDB",
        b"Thumbs.db",
        b"desktop.ini",
        b".DS_Store",
        b".memo.wav.icloud",
    ],
)
def test_built_in_rule_covers_recorders_list(name: bytes) -> None:
    """What recorders.md names as temporary or foreign is ignored, whatever `include` says [C11] [N12]."""
    assert not rule_for(IN).wants_file(name)
    assert not rule_for(IN, include=["*"]).wants_file(name)


@pytest.mark.parametrize(
    "folder",
    [
        b"@eaDir",
        b"#recycle",
        b"#snapshot",
        b".@__thumb",
        b"@Recycle",
        b"System Volume Information",
        b"$RECYCLE.BIN",
        b"lost+found",
        b".snapshot",
        b".snapshots",
        b".zfs",
        b".git",
        b".stfolder",
        b".stversions",
        b".Spotlight-V100",
        b".Trashes",
        b".fseventsd",
        b"__MACOSX",
        b".AppleDouble",
        b".rsync-partial",
    ],
)
def test_built_in_rule_stays_out_of_system_folders(folder: bytes) -> None:
    """Folders of NAS systems, synchronisers and trash are not entered at any depth [N12]."""
    rule = rule_for(IN)
    assert not rule.wants_folder(folder)
    assert not rule.wants_folder(b"calls/2024/" + folder)
    assert not rule.wants_folder(folder.lower())
    assert rule_for(IN, defaults=False).wants_folder(folder)


def test_user_patterns_add_to_defaults() -> None:
    """An exclude pattern is merged with the built-in rule and never replaces it."""
    rule = rule_for(IN, exclude=["draft*"])
    assert not rule.wants_file(b"draft-1.wav")
    assert not rule.wants_file(b".hidden.wav")
    assert rule.wants_file(b"final.wav")


def test_defaults_can_be_switched_off() -> None:
    """With defaults off only the inbox's own patterns count."""
    rule = rule_for(IN, defaults=False, exclude=["*.mp3"])
    assert rule.wants_file(b".hidden.wav")
    assert rule.wants_file(b"a.sync-conflict-1.wav")
    assert not rule.wants_file(b"a.mp3")


def test_extension_is_compared_without_case() -> None:
    """A recorder's .WAV is a wav; no extension, another one, or a bare "wav" is not."""
    rule = rule_for(IN)
    assert rule.wants_file(b"A.WAV")
    assert rule.wants_file(b"a.b.Mp3")
    assert not rule.wants_file(b"wav")
    assert not rule.wants_file(b"a.txt")
    assert not rule.wants_file(b"a.")


def test_pattern_tries_name_and_path() -> None:
    """A pattern matches the bare name or the path below the inbox, ignoring case; * crosses slashes."""
    rule = rule_for(IN, include=["calls/*.wav", "MEMO-?.ogg"])
    assert rule.wants_file(b"/in/calls/2024/01/a.WAV")
    assert rule.wants_file(b"deep/down/memo-1.ogg")
    assert not rule.wants_file(b"a.wav")
    assert not rule.wants_file(b"memo-12.ogg")
    prunes = rule_for(IN, exclude=["private", "old/20*"])
    assert not prunes.wants_folder(b"a/private")
    assert not prunes.wants_folder(b"old/2019")
    assert prunes.wants_folder(b"new/2019")


def test_pattern_with_slash_at_end_is_for_folders() -> None:
    """`music.wav/` prunes a folder of that name and leaves a file of that name alone."""
    rule = rule_for(IN, exclude=["music.wav/"])
    assert not rule.wants_folder(b"music.wav")
    assert rule.wants_file(b"music.wav")


def test_names_that_are_not_text_are_matched() -> None:
    """Names with newlines and with bytes that are not UTF-8 go through the same rule."""
    rule = rule_for(IN, exclude=["*secret*"])
    assert rule.wants_file(b"\xff\xfe\n.wav")
    assert not rule.wants_file(b"\xff-secret\n.wav")


def test_our_own_outputs_are_never_recordings() -> None:
    """What this inbox's transcripts are called is not taken even if `include` takes everything."""
    rule = rule_for(IN, include=["*"], outputs=["txt", "json"])
    assert not rule.wants_file(b"a.txt")
    assert not rule.wants_file(b"a.new.JSON")
    assert rule.wants_file(b"a.ogg")


def test_folders_to_leave_out_are_pruned() -> None:
    """Output folders are left out by their path, and only there."""
    rule = rule_for(IN, leave_out=[b"/in/done/", b"/elsewhere"])
    assert not rule.wants_folder(b"/in/done")
    assert rule.wants_folder(b"/in/2024/done")
    assert rule.wants_folder(b"/in/elsewhere")


def test_explaining_why_not() -> None:
    """Every refusal has its reason in words; a wanted file has none."""
    rule = rule_for(IN, exclude=["draft*"], leave_out=[b"/in/done"])
    assert rule.why_not(b"/in/a/b.wav") is None
    assert "outside" in (rule.why_not(b"/other/b.wav") or "")
    assert "outputs" in (rule.why_not(b"/in/done/b.wav") or "")
    assert "built-in" in (rule.why_not(b"/in/@eaDir/b.wav") or "")
    assert "built-in" in (rule.why_not(b"/in/.b.wav") or "")
    assert "exclude" in (rule.why_not(b"/in/draft.wav") or "")
    assert "exclude" in (rule.why_not(b"/in/drafts/b.wav") or "")
    assert ".txt" in (rule.why_not(b"/in/b.txt") or "")
    assert "extension" in (rule.why_not(b"/in/b") or "")
    assert "hidden" in (rule.why_not(b"/in/.b.wav") or "")
    assert "temporary" in (rule.why_not(b"/in/b.wav.part") or "")
    assert "conflict" in (rule.why_not(b"/in/b.sync-conflict-20260101-1-A.wav") or "")
    assert "system" in (rule.why_not(b"/in/Thumbs.db") or "")
    assert "backup" in (rule.why_not(b"/in/b.wav~") or "")
    ours = rule_for(IN, outputs=["txt"]).why_not(b"/in/notes.txt") or ""
    assert ".txt" in ours
    assert "transcripts" in ours
    assert "temporary" not in ours
    assert "include" in (rule_for(IN, include=["*.ogg"]).why_not(b"/in/b.wav") or "")


MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:40 / /srv rw - xfs /dev/vdb rw
41 40 0:41 / /srv/my\040share\134x rw,noatime shared:2 master:1 - nfs4 host:/x rw,vers=4.2
42 27 0:42 / /mnt/auto rw - autofs systemd-1 rw
43 42 0:43 / /mnt/auto rw - cifs //host/share rw
this line is not like the others
44 27 0:44 / /mnt/odd
"""


def test_longest_mount_point_wins() -> None:
    """A path lies on the mount whose point is the longest prefix by whole names; the later hides the former."""
    mounts = parse_mountinfo(MOUNTINFO)

    def of(path: bytes) -> str | None:
        mount = find_mount(path, mounts)
        return mount.file_system if mount else None

    assert of(b"/srv/in") == "xfs"
    assert of(b"/srv") == "xfs"
    assert of(b"/srvx/in") == "ext4"
    assert of(b"/srv/my share\\x/in") == "nfs4"
    assert of(b"/mnt/auto/in") == "cifs"
    assert of(b"/mnt/odd/in") == "ext4"
    assert find_mount(b"/a", ()) is None


def test_automatic_watching_believes_local_file_systems_only() -> None:
    """`auto` uses events where they are known to tell, scanning everywhere else, and says why. [D19]."""
    for lying in (
        "nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.mergerfs", "9p", "virtiofs", "vboxsf",
        "ceph", "glusterfs", "lustre", "afs", "davfs", "overlay", "autofs", "drvfs", "", None,
    ):  # fmt: skip
        assert events_lie(lying)
        assert choose(WatchMode.AUTO, lying).mode is WatchMode.POLL
        assert choose(WatchMode.EVENTS, lying).mode is WatchMode.EVENTS
    for telling in ("ext4", "xfs", "btrfs", "tmpfs", "zfs", "f2fs", "vfat"):
        assert not events_lie(telling)
        assert telling in choose(WatchMode.AUTO, telling).reason
        assert choose(WatchMode.AUTO, telling).mode is WatchMode.EVENTS
        assert choose(WatchMode.POLL, telling).mode is WatchMode.POLL


def test_state_is_refused_on_network_file_systems() -> None:
    """Databases are refused over the network, FUSE and host shares, not on local or container disks."""
    assert all(map(is_network, ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs")))
    assert not any(map(is_network, ("ext4", "overlay", "tmpfs", "zfs", "fuseblk", None)))


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="needs Linux")
def test_this_machine_knows_its_file_systems(tmp_path: Path) -> None:
    """The real mountinfo is understood, also through a symlink and for a path that is not there yet."""
    assert file_system_of(b"/proc/self") == "proc"
    (tmp_path / "link").symlink_to("/proc")
    assert file_system_of(raw(tmp_path / "link")) == "proc"
    assert file_system_of(raw(tmp_path / "not" / "there")) == file_system_of(os.fsencode(tmp_path))


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="needs Linux")
def test_a_folder_that_becomes_a_link_while_it_is_asked_about_raises_nothing(
    tmp_path: Path,
) -> None:
    """Where somebody swaps a folder for a link, its file system is known or it is not; nobody dies of it [X05]."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    here = file_system_of(raw(tmp_path))
    with swapping(tmp_path / "in" / "sub", tmp_path / "outside"):
        told = {file_system_of(raw(tmp_path / "in" / "sub")) for _ in range(500)}
    assert here in told
    assert told <= {here, None}
