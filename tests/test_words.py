import ast
import json
import random
import time
from pathlib import Path

import pytest
from cli_helpers import asrwatch, configure
from words_gathering import gathered, missing, sentences_of, tables

from asrwatch.cli._printing import Named, show
from asrwatch.words import accepted, language, language_of, shown, speaking
from asrwatch.words.matching import PLACEHOLDER, Table
from asrwatch.words.widths import cells, wrapped

ROWS = {
    "{name} is longer than {limit}.": "{name} 超过 {limit#}。",
    "Cut it, or raise `longest`.": "请将其剪短，或调大 `longest`。",
    "{path} waits for {reason}": "{path} 正在等待{reason*}",
    "its marker": "标记文件",
    "{number} file(s)": "{number#} 个文件",
    "watched by {means} ({reason})": "监视方式：{means}（{reason*}）",
    "it lies on a share": "位于网络共享上",
    "delivered": "已交付",
    "under way": "进行中",
    "NOT SERVED: {message} {advice}": "未能提供：{message*}{advice*}",
}


@pytest.fixture
def table() -> Table:
    """A small table."""
    return Table(ROWS)


def test_values_stand_in_the_chinese(table: Table) -> None:
    """A sentence is recognised by its row, and its values stand where the Chinese wants them."""
    assert table.shown("talk.wav is longer than 5h 02m.") == "talk.wav 超过 5 小时 02 分。"


def test_starred_values_are_translated(table: Table) -> None:
    """A value with a star is a sentence of its own and is translated, too."""
    assert table.shown("/in/a.wav waits for its marker") == "/in/a.wav 正在等待标记文件"


def test_a_text_is_cut_at_its_joints(table: Table) -> None:
    """Message, advice, lists and remarks in brackets are found one by one, however they were joined."""
    text = "a.wav is longer than 12h 00m. Cut it, or raise `longest`."
    assert table.shown(text) == "a.wav 超过 12 小时 00 分。请将其剪短，或调大 `longest`。"
    text = "/in: DEGRADED, watched by polling (it lies on a share), 3 files"
    assert table.shown(text) == "/in: DEGRADED，监视方式：polling（位于网络共享上），3 个文件"
    assert table.shown("3 delivered, 1 file") == "已交付 3，1 个文件"


def test_a_line_may_announce_the_next(table: Table) -> None:
    """A line that ends with a colon is read without it."""
    assert table.shown("3 files:\n  a: 1 file") == "3 个文件：\n  a: 1 个文件"
    assert table.shown("nobody knows:") == "nobody knows:"


def test_a_message_comes_with_its_advice(table: Table) -> None:
    """Nothing but a blank stands between them, and both are translated."""
    text = "NOT SERVED: a.wav is longer than 5s. Cut it, or raise `longest`."
    assert table.shown(text) == "未能提供：a.wav 超过 5 秒。请将其剪短，或调大 `longest`。"


def test_brackets_may_stand_in_values(table: Table) -> None:
    """A value that holds what also joins it to the rest is told from it, wherever it stands."""
    text = "/in/a (b).wav: watched by nobody (its marker) (it lies on a share)"
    assert table.shown(text) == "/in/a (b).wav: 监视方式：nobody（标记文件）（位于网络共享上）"
    assert table.shown("a (3 files, 1 file)") == "a（3 个文件，1 个文件）"
    assert table.shown("it lies on a share (x) its marker").endswith("标记文件")


def test_what_no_row_knows_stays(table: Table) -> None:
    """A word of the cloud's, a path, a sentence that nobody translated: shown as it is, letter by letter."""
    for text in (
        "InvalidParameter: no such model.",
        "/srv/会议 1 (2).wav",
        "  indented\n",
        "",
        "a, b; c",
    ):
        assert table.shown(text) == text


def test_numbers_must_be_numbers(table: Table) -> None:
    """A place for a number takes nothing else, so that a foreign sentence is not mistaken for a row."""
    text = "The name is longer than you would think."
    assert table.shown(text) == text
    assert table.shown("Some file") == "Some file"


def test_names_cannot_be_mistaken(table: Table) -> None:
    """A file whose name reads like a sentence of ours keeps it."""
    assert table.shown("its marker waits for its marker") == "its marker 正在等待标记文件"


def test_hostile_texts_are_bounded(table: Table) -> None:
    """Names full of joints and of our own words cost a bounded time."""
    chance = random.Random(7)  # noqa: S311 - a test's chance
    words = [
        " is longer than ",
        " waits for ",
        ", ",
        " (",
        ") ",
        ": ",
        ". ",
        "its marker",
        "watched by ",
    ]
    begun = time.process_time()
    for _ in range(4):
        table.shown("".join(chance.choices(words, k=400))[:4000])
    assert time.process_time() - begun < 60


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:zh_CN:en"}, "zh"),
        ({"LANG": "C", "LANGUAGE": "zh"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_locale_chooses(environment: dict[str, str], expected: str) -> None:
    """The language follows the locale as gettext reads it; one that asrwatch does not speak means English."""
    assert language_of(environment) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.5", "en"),
        ("de, zh;q=0.3, en;q=0.2", "zh"),
        ("fr;q=1.0, *;q=0.1", "en"),
        ("zh;q=0", "en"),
        ("zh;q=nonsense, en;q=0.1", "en"),
        (";;;,,,q=,zh-Hans", "zh"),
    ],
)
def test_the_browser_chooses(header: str | None, expected: str) -> None:
    """A request speaks what its browser likes best; nonsense in the header means English."""
    assert accepted(header) == expected


def test_a_request_speaks_for_itself() -> None:
    """The language of one request holds in its block alone."""
    before = language()
    with speaking("zh"):
        assert language() == "zh"
        with speaking("en"):
            assert shown("delivered") == "delivered"
    assert language() == before


def test_cells_and_lines() -> None:
    """Chinese takes two cells a character; lines are as wide as asked, and no line begins with a full stop."""
    assert cells("abc") == 3
    assert cells("转写 ok") == 7
    lines = list(wrapped("把录音转写成文字。需要 `asrwatch run`，然后等待。", 20))
    assert "".join(lines).replace(" ", "") == "把录音转写成文字。需要`asrwatchrun`，然后等待。"
    assert all(cells(line) <= 22 and line[0] not in "，。" for line in lines)


def test_rows_keep_their_values() -> None:
    """Every row of the table has the same {names} in English and in Chinese, or is not translated yet."""
    wrong = []
    for room, rows in tables().items():
        for english, chinese in rows.items():
            names = {found[1] for found in PLACEHOLDER.finditer(english)}
            if chinese and names != {found[1] for found in PLACEHOLDER.finditer(chinese)}:
                wrong.append(f"{room}: {english} -> {chinese}")
    assert wrong == []


def test_the_page_says_it_in_chinese() -> None:
    """What the page's templates say is shown as its row has it: no row is hidden behind how texts are cut."""
    said = {each.english for each in gathered() if each.module.endswith(".html")}
    assert len(said) > 100
    english = {each for each in said if "%" not in each and shown(each, "zh") == each}
    assert english == set()


def test_no_sentence_is_without_its_chinese() -> None:
    """Everything that the code or the page says to people has a row (see tests/words_gathering.py, --add)."""
    assert [f"{each.module}:{each.line}: {each.english}" for each in missing()] == []


def test_the_gathering_is_not_blind() -> None:
    """Constants, f-strings with their choices, help and advice are found; docstrings and log lines are not."""
    module = ast.parse('''
def act(path, n):
    """A docstring is not shown."""
    log.info("something that happened", path=path)
    raise Wrong(f"{printable(path)} is {'not ' if n else ''}whole: {error}.", code="not a word", advice="Copy it.")
    say(f"{counted(n, 'file')} were left")
    Option(help="Print JSON" ", for machines.", metavar="A B")
''')
    assert {sentence.english for sentence in sentences_of(module, "x.py")} == {
        "{path} is not whole: {error}.",
        "{path} is whole: {error}.",
        "Copy it.",
        "{n} file(s)",
        "{n} were left",
        "Print JSON, for machines.",
    }


# On the command line.


def test_the_command_line_speaks_chinese(tmp_path: Path) -> None:
    """Help, usage errors and reports follow the locale or `--lang`, wherever it stands; JSON stays English."""
    configure(tmp_path)
    told = asrwatch("--help", cwd=tmp_path, LANG="zh_CN.UTF-8")
    assert told.stdout.startswith("用法：asrwatch")
    assert "监视目录并转写其中出现的录音。" in told.stdout
    assert all(cells(line) <= 80 for line in told.stdout.splitlines())
    told = asrwatch("status", "--lang=zh", cwd=tmp_path)
    assert "未运行" in told.stdout
    told = asrwatch("status", "--json", "--lang", "zh", cwd=tmp_path)
    assert json.loads(told.stdout)["running"] is False
    told = asrwatch("status", "--nope", cwd=tmp_path, LANG="zh_CN.UTF-8")
    assert (told.returncode, told.stdout) == (2, "")
    assert "没有此选项：--nope" in told.stderr
    told = asrwatch("--lang", "en", "status", cwd=tmp_path, LANG="zh_CN.UTF-8")
    assert "not running" in told.stdout


def test_an_inbox_may_be_called_like_a_word_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An inbox called "inbox" keeps its name in Chinese, alone, in front of a line and in brackets."""
    configure(tmp_path)
    inbox = tmp_path / "inbox"
    (inbox / "a.wav").write_bytes(b"RIFF")
    told = asrwatch("status", "--lang", "zh", cwd=tmp_path).stdout
    assert f"收件目录  inbox: {inbox}" in told
    told = asrwatch("explain", str(inbox / "a.wav"), "--lang", "zh", cwd=tmp_path).stdout
    assert "收件目录  inbox\n" in told
    with speaking("zh"):
        show([("notifier", Named("exec tell (failed)")), ("notifier", "failed")])
    assert capsys.readouterr().out.splitlines() == [
        "通知方式  exec tell (failed)",
        "通知方式  失败",
    ]


def test_counted_messages_are_chinese() -> None:
    """What waits for a notifier and how large a request is are numbers with Chinese words."""
    assert shown("exec tell: 5 messages waiting, 1 message given up", "zh") == (
        "exec tell：5 条消息等待中，1 条消息已放弃"
    )
    assert shown("1 s of at most 295 s, 21.4 KB as Base64 of at most 10.0 MB", "zh") == (
        "1 s，最多 295 s，Base64 编码后 21.4 KB，最多 10.0 MB"
    )


def test_problems_of_the_configuration_are_chinese(tmp_path: Path) -> None:
    """The line that announces them, and what pydantic says of numbers."""
    configure(tmp_path, workers=0)
    told = asrwatch("check", "--lang", "zh", cwd=tmp_path).stderr
    assert "asrwatch.yaml 无法使用：" in told
    assert "workers（第 1 行）：必须是大于或等于 1 的数" in told.replace("必须是 ", "必须是")


def test_a_language_there_is_not_is_refused(tmp_path: Path) -> None:
    """`--lang` names the languages there are, in front of the command and behind it."""
    for arguments in (("--lang", "xx", "status"), ("status", "--lang=xx")):
        told = asrwatch(*arguments, cwd=tmp_path)
        assert told.returncode == 2
        assert "'en', 'zh'" in told.stderr
