import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from asrwatch import engines, parts
from asrwatch.config import LARGEST_FILE, find_file, load
from asrwatch.engines import Engine
from asrwatch.errors import ConfigError, Problem
from asrwatch.settings import Settings
from asrwatch.settings.choices import PartChoice
from asrwatch.settings.inbox import InboxSettings
from asrwatch.settings.sections import (
    AllowanceSettings,
    BackupSettings,
    BudgetSettings,
    CloudSettings,
)

EXAMPLE = Path(__file__).parent.parent / "config.example.yaml"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own configuration is seen."""
    for name in ("OUTPUT_DIR", "STATE_DIRECTORY", "ASRWATCH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


def written(tmp_path: Path, text: str | bytes) -> Path:
    """A configuration file."""
    file = tmp_path / "asrwatch.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def loaded(tmp_path: Path, text: str) -> Settings:
    """What a text says."""
    return load(written(tmp_path, text))


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    """What is wrong with a text, each as a person reads it."""
    with pytest.raises(ConfigError) as raised:
        load(written(tmp_path, text))
    assert str(tmp_path / "asrwatch.yaml") in str(raised.value)
    assert all(str(problem) in str(raised.value) for problem in raised.value.problems)
    return [str(problem) for problem in raised.value.problems]


# The example.


def own(file: Path, folder: Path) -> Path:
    """A copy that is ours, whoever owns the checkout."""
    copy = folder / file.name
    copy.write_bytes(file.read_bytes())
    return copy


def test_example_loads_and_shows_every_key(tmp_path: Path) -> None:
    """`config.example.yaml` loads as it stands, and every key of every section stands in it."""
    settings = load(own(EXAMPLE, tmp_path))
    raw: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    assert set(raw) == (set(Settings.model_fields) - {"source"}) | {"defaults"}
    assert set(raw["cloud"]) == set(CloudSettings.model_fields)
    assert set(raw["inboxes"][0]) == set(InboxSettings.model_fields)
    assert set(raw["backup"]) == set(BackupSettings.model_fields)
    assert set(raw["budget"]) == set(BudgetSettings.model_fields)
    assert all(set(one) == set(AllowanceSettings.model_fields) for one in raw["budget"].values())
    base: type[Any] = Engine
    for name, options in raw["engines"].items():
        assert set(options) <= set(parts.find(engines, base, name).Options.model_fields)
    assert [inbox.name for inbox in settings.inboxes] == ["dictation", "meetings"]


def test_example_says_what_its_keys_are_for() -> None:
    """No key of the example stands alone: beside each, or above it or its section, is a comment."""
    bare, told, above = [], False, ""
    for line in EXAMPLE.read_text().splitlines():
        key = re.match(r"(?P<indent> *)(- )?(?P<name>\w+):", line)
        if not line.strip():
            told = False
        elif line.strip().startswith("#"):
            told = True
        elif key and not told and " #" not in line and not re.fullmatch(r"\w+:", line):
            bare.append(f"{above}{key['name']}")
        if key and not key["indent"]:
            above = f"{key['name']}."
    assert bare == []


def test_example_shows_the_values_that_hold_anyway(tmp_path: Path) -> None:
    """What the example says of its first inbox and of the cloud is what holds without it, as it promises."""
    shown = load(own(EXAMPLE, tmp_path))
    plain = load(None, (Path("/srv/dictation"),))
    assert shown.inboxes[0].model_copy(update={"exclude": ()}) == plain.inboxes[0]
    assert shown.cloud == plain.cloud
    assert (shown.workers, shown.storage) == (plain.workers, plain.storage)


# Every problem at once.


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """A file with many faults is told all of them, each with its path and line."""
    found = problems(
        tmp_path,
        """\
state_dir: ~/state
workers: many
colour: red
cloud: {region: mars, base_url: "ftp://x", connect_timeout: -1s}
storage: {use: public-dir, root: /srv, url: "ftp://x"}
engines:
  qwen3-asr-flash:
    requests_per_minute: 0
    speed: 11
  whisper: {}
inboxes:
  - path: /srv/a
    settle: soon
    engine: {use: qwen3-asr-flash, stream: perhaps}
    formats: [txt, docx]
    after: shred
    output: 5
  - name: nowhere
  - /srv/b
""",
    )
    assert set(found) == {
        "workers (line 2): must be a whole number",
        "colour (line 3): there is no such key",
        "cloud.region (line 4): must be 'beijing', 'singapore' or 'us'",
        "cloud.base_url (line 4): must be http or https://host, with a port and a path if needed",
        "cloud.connect_timeout (line 4): must not be negative",
        "storage.url (line 5): must be http://host/path or https://host/path",
        "engines.qwen3-asr-flash.requests_per_minute (line 8): must be greater than or equal to 1",
        "engines.qwen3-asr-flash.speed (line 9): there is no such key",
        (
            "engines.whisper (line 10): there is no engine called 'whisper'; there are: qwen-audio-asr, "
            "qwen3-asr-flash, qwen3-asr-flash-filetrans"
        ),
        "inboxes[0].settle (line 13): 'soon' is not a duration; write a number and ms, s, m, h, d or w, such as 10s",
        "inboxes[0].engine.stream (line 14): must be true or false",
        "inboxes[0].formats[1] (line 15): there is no format called 'docx'; there are: json, md, srt, txt, vtt",
        "inboxes[0].after (line 16): must be keep, delete or {move: DIR}",
        "inboxes[0].output (line 17): must be the path of a file or folder",
        "inboxes[1].path (line 18): is missing",
        "inboxes[2] (line 19): must be a mapping of keys",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("inboxes: 5", "inboxes (line 1): must be a list"),
        ("defaults: 5", "defaults (line 1): must be a mapping of inbox keys"),
        ("cloud: x", "cloud (line 1): must be a mapping of keys"),
        ("engines: [a]", "engines (line 1): must be a mapping of keys"),
        ("1: 2", "1 (line 1): there is no such key"),
        ("source: elsewhere", "source (line 1): there is no such key"),
        ("storage: public-dir", "storage.root (line 1): is missing"),
        ("storage: ftp", "storage (line 1): there is no storage called 'ftp'"),
        ("workers: 0", "workers (line 1): must be greater than or equal to 1"),
        ("cloud: {proxy: socks5://x}", "cloud.proxy (line 1): must be http or https://host"),
        ("inboxes: [{path: ''}]", "inboxes[0].path (line 1): must not be empty"),
        ("inboxes: [{path: 5}]", "inboxes[0].path (line 1): must be the path"),
        ("inboxes: [{path: ~no-such-user/a}]", "there is no home folder ~no-such-user"),
        ("inboxes: [{path: /a, language: english}]", "must be one code such as en"),
        ("inboxes: [{path: /a, channels: []}]", "inboxes[0].channels (line 1): must not be empty"),
        ("inboxes: [{path: /a, channels: [0, 0]}]", "inboxes[0].channels (line 1): names 0 twice"),
        ("inboxes: [{path: /a, channels: [-1]}]", "inboxes[0].channels"),
        (
            "inboxes: [{path: /a, formats: [srt, srt]}]",
            "inboxes[0].formats (line 1): names srt twice",
        ),
        ("inboxes: [{path: /a, settle: -3s}]", "inboxes[0].settle (line 1): must not be negative"),
        ("settel: 5s", "settel (line 1): there is no such key"),
        ("wokers: 5", "wokers (line 1): there is no such key; did you mean workers?"),
        (
            "cloud: {regoin: us}",
            "cloud.regoin (line 1): there is no such key; did you mean region?",
        ),
        (
            "inboxes: [{path: /a, settel: 5s}]",
            "inboxes[0].settel (line 1): there is no such key; did you mean settle?",
        ),
        (
            "defaults: {setle: 5s}\ninboxes: [{path: /a}]",
            "defaults.setle (line 1): there is no such key; did you mean settle?",
        ),
        ("inboxes: [{path: /a, after: {mvoe: /b}}]", "did you mean move?"),
        (
            "engines: {qwen3-asr-flash: {requests_per_minutes: 5}}",
            "there is no such key; did you mean requests_per_minute?",
        ),
        (
            "inboxes: [{path: /a, engine: {use: qwen3-asr-flash, strem: true}}]",
            "there is no such key; did you mean stream?",
        ),
        ("inboxes: [{path: /a, formats: txt}]", "inboxes[0].formats (line 1): must be a list"),
        ("inboxes: [{path: /a, watch: never}]", "must be 'auto', 'events' or 'poll'"),
        ("inboxes: [{path: /a, scan_every: 0}]", "must be at least 1s"),
        ("inboxes: [{path: /a, unknown: pay}]", "must be 'ask_again' or 'park'"),
        ("inboxes: [{path: /a, engine: {use: auto, stream: true}}]", "`auto` takes no options"),
        (
            "inboxes: [{path: /a, after: {move: 5}}]",
            "inboxes[0].after.move (line 1): must be the path",
        ),
        (
            "inboxes: [{path: /a, after: {copy: /b}}]",
            "inboxes[0].after.copy (line 1): there is no such key",
        ),
    ],
)
def test_single_faults(tmp_path: Path, text: str, problem: str) -> None:
    """Each fault is told in the words of somebody who writes YAML, at its place."""
    assert any(problem in found for found in problems(tmp_path, text)), problems(tmp_path, text)


def test_problem_in_defaults_is_told_once_where_it_is_written(tmp_path: Path) -> None:
    """A bad default is pointed out in `defaults`, once, however many inboxes take it."""
    found = problems(
        tmp_path,
        "defaults:\n  settle: soon\n  colour: red\ninboxes: [{path: /a}, {path: /b}, {path: /c}]\n",
    )
    assert [line.partition(":")[0] for line in found] == [
        "defaults.settle (line 2)",
        "defaults.colour (line 3)",
    ]


def test_what_is_wrong_with_an_element_is_not_told_of_its_list(tmp_path: Path) -> None:
    """A list whose only element is wrong is not called empty as well."""
    (found,) = problems(tmp_path, "inboxes: [{path: /a, channels: [a]}]")
    assert found == "inboxes[0].channels[0] (line 1): must be a whole number"


# The file itself.


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a: b: c", "configuration (line 1): is not YAML: "),
        (b"workers: 1\nworkers: 2\n", "workers (line 2): is written twice"),
        (b"inboxes:\n  - path: /a\n    path: /b\n", "inboxes[0].path (line 3): is written twice"),
        (
            b"a: &x 1\nb: *x\n",
            "configuration (line 2): is not YAML: aliases (*name) are not allowed",
        ),
        (b"- a", "configuration (line 1): must be a mapping of keys, such as `inboxes:`"),
        (b"workers: \xff", "configuration: is not UTF-8 text"),
        (b"a: \x00", "configuration: is not YAML: "),
        (b"[" * 5000, "configuration: is nested too deeply"),
        (b"workers: 2001-99-99", "configuration: is not YAML: "),
        (b"? [a]\n: b", "configuration (line 1): is not YAML: "),
        (b"!!python/object/apply:os.getcwd []", "configuration (line 1): is not YAML: "),
        (b"a: 1\n---\nb: 2\n", "is not YAML: but found another document"),
        (b"#" * (LARGEST_FILE + 1), f"configuration: is larger than {LARGEST_FILE} bytes"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: bytes, problem: str) -> None:
    """Whatever lies in the file, the answer is a problem in words with a line where there is one. [X11]."""
    found = problems(tmp_path, text)
    assert any(line.startswith(problem) or problem in line for line in found), found
    assert not any("\n" in line for line in found)


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        (0o600, None),
        (0o644, None),
        (0o444, None),
        (0o646, "everybody may change it (mode 0646)"),
        (0o666, "everybody may change it (mode 0666)"),
    ],
)
def test_a_file_that_others_may_write_is_refused(
    tmp_path: Path, mode: int, problem: str | None
) -> None:
    """Whoever can write the configuration can have files moved and deleted: it must be ours alone. [X11]."""
    file = tmp_path / "asrwatch.yaml"
    file.write_text("workers: 3")
    file.chmod(mode)
    if problem is None:
        assert load(file).workers == 3
        return
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert problem in raised.value.message
    assert f"chmod go-w {file}" in raised.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize(
    ("uid", "gid", "mode", "problem"),
    [
        (65_534, 0, 0o600, "it belongs to"),
        (0, 54_321, 0o664, "the group gid 54321 may change it"),
        (0, 54_321, 0o644, None),
        (0, 0, 0o664, None),  # root's own group, with nobody else in it
    ],
)
def test_whose_file_it_is_counts(
    tmp_path: Path, uid: int, gid: int, mode: int, problem: str | None
) -> None:
    """Another owner may change the file; so may a group, unless it is its owner's alone. [X11]."""
    file = tmp_path / "asrwatch.yaml"
    file.write_text("workers: 3")
    os.chown(file, uid, gid)
    file.chmod(mode)
    if problem is None:
        assert load(file).workers == 3
        return
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert problem in raised.value.message


def test_a_folder_that_is_open_to_all_is_refused(tmp_path: Path) -> None:
    """Where everybody may rename files, a good file can be exchanged; a sticky folder forbids that. [X11]."""
    file = tmp_path / "open" / "asrwatch.yaml"
    file.parent.mkdir()
    file.write_text("workers: 3")
    file.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="its folder is open to all"):
        load(file)
    file.parent.chmod(0o1777)
    assert load(file).workers == 3


def test_empty_file_is_a_configuration(tmp_path: Path) -> None:
    """A file with nothing but comments says nothing, and so everything stays as it ships."""
    assert loaded(tmp_path, "# nothing yet\n").inboxes == ()


def test_unreadable_file_is_told_with_the_reason(tmp_path: Path) -> None:
    """A configuration that is a folder or cannot be read is told as such, not as a traceback."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named by `-c` or $ASRWATCH_CONFIG that is not there is a problem, not a reason to look elsewhere."""
    missing = tmp_path / "missing.yaml"
    with pytest.raises(ConfigError, match=r"missing\.yaml.*\n.*there is no such file"):
        find_file(missing)
    with pytest.raises(ConfigError, match="is a folder"):
        find_file(tmp_path)
    monkeypatch.setenv("ASRWATCH_CONFIG", str(missing))
    with pytest.raises(ConfigError, match="there is no such file"):
        find_file(None)


def test_places_are_looked_at_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-c wins over $ASRWATCH_CONFIG, which wins over ./asrwatch.yaml, which wins over the user's own."""
    monkeypatch.chdir(tmp_path)
    users = tmp_path / "home" / ".config" / "asrwatch" / "asrwatch.yaml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find_file(None) == users
    written(tmp_path, "")
    assert find_file(None) == Path("asrwatch.yaml")
    by_environment = tmp_path / "other.yaml"
    by_environment.touch()
    monkeypatch.setenv("ASRWATCH_CONFIG", str(by_environment))
    assert find_file(None) == by_environment
    assert find_file(users) == users


# What it means.


def test_defaults_are_merged_below_each_inbox(tmp_path: Path) -> None:
    """A default holds for every inbox that does not say otherwise."""
    settings = loaded(
        tmp_path,
        "defaults: {settle: 9s, language: de}\ninboxes: [{path: /a}, {path: /b, language: en}]\n",
    )
    assert [inbox.settle for inbox in settings.inboxes] == [timedelta(seconds=9)] * 2
    assert [inbox.language for inbox in settings.inboxes] == ["de", "en"]


def test_paths_count_from_the_files_folder_and_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path counts from the configuration's folder wherever the command runs; `~` is the home folder."""
    monkeypatch.chdir("/")
    settings = loaded(
        tmp_path,
        "state_dir: ~/state\ncloud: {api_key_file: key}\n"
        "inboxes: [{path: in/../in, output: out, after: {move: done}}]\n",
    )
    assert settings.state_dir == tmp_path / "home" / "state"
    assert settings.cloud.api_key_file == tmp_path / "key"
    inbox = settings.inboxes[0]
    assert (inbox.path, inbox.output) == (tmp_path / "in", tmp_path / "out")
    assert inbox.move_to == tmp_path / "done"
    assert inbox.name == "in"


def test_state_lies_where_systemd_says_else_with_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `state_dir`, $STATE_DIRECTORY (its first entry) holds the state, else the user's state folder."""
    assert load(None).state_dir == tmp_path / "home" / ".local" / "state" / "asrwatch"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/asrwatch:/var/lib/other")
    assert load(None).state_dir == Path("/var/lib/asrwatch")
    assert loaded(tmp_path, "state_dir: /elsewhere").state_dir == Path("/elsewhere")


def test_output_dir_of_the_environment_is_only_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$OUTPUT_DIR/<inbox name> is where outputs go unless the inbox or the defaults say otherwise."""
    monkeypatch.setenv("OUTPUT_DIR", "/out")
    text = (
        "inboxes: [{path: /srv/a}, {path: /srv/b, name: notes}, {path: /srv/c, output: beside}]\n"
    )
    outputs = [inbox.output for inbox in loaded(tmp_path, text).inboxes]
    assert outputs == [Path("/out/a"), Path("/out/notes"), "beside"]
    outputs = [
        inbox.output for inbox in loaded(tmp_path, f"defaults: {{output: /o}}\n{text}").inboxes
    ]
    assert outputs == [Path("/o"), Path("/o"), "beside"]


def test_folders_of_the_command_line_need_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asrwatch run DIR...` watches those folders, without a file or instead of its inboxes, with its defaults."""
    monkeypatch.chdir(tmp_path)
    inbox = load(None, (Path("notes"),)).inboxes[0]
    assert (inbox.path, inbox.name) == (tmp_path / "notes", "notes")
    file = written(tmp_path, "defaults: {settle: 1s}\ninboxes: [{path: /srv/a}]\n")
    inboxes = load(file, (Path("notes"), Path("/talks"))).inboxes
    assert [inbox.path for inbox in inboxes] == [tmp_path / "notes", Path("/talks")]
    assert {inbox.settle for inbox in inboxes} == {timedelta(seconds=1)}


def test_folders_of_the_same_name_are_told_apart() -> None:
    """Two folders of the command line may have the same last name: their inboxes still differ."""
    inboxes = load(None, (Path("/a/notes"), Path("/b/notes"), Path("/c"))).inboxes
    assert [inbox.name for inbox in inboxes] == ["a-notes", "b-notes", "c"]


def test_folder_whose_name_is_not_utf_8_can_be_watched() -> None:
    """A folder of the command line is bytes to the file system, whatever they mean."""
    inbox = load(None, (Path(os.fsdecode(b"/srv/\xff")),)).inboxes[0]
    assert (inbox.root, inbox.name) == (b"/srv/\xff", "\\xff")


def test_a_name_that_would_steer_a_terminal_is_refused(tmp_path: Path) -> None:
    """Names of inboxes stand in every list: control characters and signs that turn text round are no part of them."""
    for name in (r"a\e[31m", r"a\u202eb", r"a\nb"):
        with pytest.raises(ConfigError, match="control characters"):
            loaded(tmp_path, f'inboxes: [{{path: /srv/a, name: "{name}"}}]\n')


def test_parts_are_named_alone_or_with_options(tmp_path: Path) -> None:
    """`srt` and `{use: NAME, option: ...}` are both ways to name a part."""
    inbox = loaded(
        tmp_path,
        "inboxes: [{path: /a, formats: [srt, {use: md}], engine: {use: qwen3-asr-flash, stream: true}}]",
    ).inboxes[0]
    assert [choice.use for choice in inbox.formats] == ["srt", "md"]
    assert inbox.engine == PartChoice(use="qwen3-asr-flash", options={"stream": True})


# Between inboxes.


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("path: /a", "path: /a, name: b", True),
        ("path: /a", "path: /a/b", True),
        ("path: /a/b", "path: /a", True),
        ("path: /a, recursive: false", "path: /a/b", False),
        ("path: /a, exclude: [b/]", "path: /a/b", False),
        ("path: /a", "path: /a/.hidden", False),
        ("path: /a", "path: /ab", False),
    ],
)
def test_overlapping_inboxes(tmp_path: Path, first: str, second: str, overlap: bool) -> None:
    """Two inboxes that would both find a file are refused; excluded, hidden and unscanned folders are no overlap."""
    text = f"inboxes:\n  - {{{first}}}\n  - {{{second}}}\n"
    if overlap:
        assert "inboxes[1].path (line 3): overlaps inboxes[0]: every file would be found twice" in (
            problems(tmp_path, text)
        )
    else:
        assert len(loaded(tmp_path, text).inboxes) == 2


def test_inboxes_of_the_same_name_are_refused(tmp_path: Path) -> None:
    """A name stands for one inbox in log and database."""
    found = problems(tmp_path, "inboxes:\n- path: /a/notes\n- path: /b/notes\n")
    assert found == ["inboxes[1].name (line 3): 'notes' is the name of inboxes[0] too"]


@pytest.mark.parametrize("key", ["output: {}", "after: {{move: {}}}"])
@pytest.mark.parametrize(
    ("folder", "more", "refused"),
    [
        ("/a/out", "", True),
        ("/a", "", True),
        ("/a/x/out", "", True),
        ("/b/out", "", True),
        ("/a/out", "recursive: false", False),
        ("/a/out", "exclude: [out/]", False),
        ("/a/x/out", "exclude: [x/]", False),
        ("/a/.out", "", False),
        ("/a/.x/out", "", False),
        ("/a/.out", "builtin_exclude: false", True),
        ("/out", "", False),
    ],
)
def test_what_is_put_into_an_inbox_must_not_feed_it(
    tmp_path: Path, key: str, folder: str, more: str, refused: bool
) -> None:
    """Outputs and finished recordings must not land where an inbox looks, unless it is told not to look there."""
    inbox = ", ".join(part for part in ("path: /a", key.format(folder), more) if part)
    text = f"inboxes:\n  - {{{inbox}}}\n  - {{path: /b}}\n"
    if refused:
        (found,) = problems(tmp_path, text)
        inside = 1 if folder.startswith("/b") else 0
        assert found.startswith(
            f"inboxes[0].{key.partition(':')[0]} (line 2): {folder} lies inside inboxes[{inside}]"
        )
    else:
        assert len(loaded(tmp_path, text).inboxes) == 2


def test_state_must_not_lie_where_an_inbox_looks(tmp_path: Path) -> None:
    """The state folder holds audio made ready to be sent: an inbox must not take it up."""
    (found,) = problems(tmp_path, "state_dir: /a/state\ninboxes: [{path: /a}]\n")
    assert found.startswith("state_dir (line 1): /a/state lies inside inboxes[0]")
    assert loaded(tmp_path, "state_dir: /a/.state\ninboxes: [{path: /a}]\n").inboxes


def test_inboxes_are_compared_whatever_else_is_wrong(tmp_path: Path) -> None:
    """A fault elsewhere does not hide that two inboxes overlap."""
    found = problems(tmp_path, "workers: many\ninboxes: [{path: /a}, {path: /a/b}, {name: x}]\n")
    assert len(found) == 3
    assert any("overlaps inboxes[0]" in line for line in found)


def test_problem_reads_well_without_line_or_place() -> None:
    """What has no line or key is still a sentence."""
    assert str(Problem(where="", what="is empty")) == "configuration: is empty"
    assert str(Problem(where="a.b", what="is bad", line=3)) == "a.b (line 3): is bad"
