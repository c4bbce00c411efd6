import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "asrwatch"
MODULES = sorted(PACKAGE.rglob("*.py"))

PARTS = ("engines", "storages", "formats", "notifiers")
BOTTOM = {"errors", "values"}
# Small helpers that know nothing of recordings, engines or the cloud.
HELPERS = BOTTOM | {
    "logs",
    "parts",
    "crash",
    "clock",
    "heartbeats",
    "trust",
    "children",
    "crew",
    "words",
    "address",
    "news",
}
RECORDING = HELPERS | {"recording"}
# The values that every room speaks of.
LANGUAGE = {"recording", "evidence", "plan", "transcript"}

# Which rooms a room may import from, besides itself. The design's picture (section 2), from the bottom up:
# errors, values -> recording -> files, audio, cloud, part protocols -> part files -> inbox, journey, config
# -> daemon -> bootstrap -> cli. A room that is not in the picture stands beside bootstrap.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "values": {"errors"},
    "parts": BOTTOM,
    "crash": BOTTOM,
    "clock": BOTTOM,
    "trust": BOTTOM,
    "children": BOTTOM,
    "heartbeats": BOTTOM,
    "crew": BOTTOM,
    "words": BOTTOM,  # what a person reads may be written in any room
    "news": BOTTOM,
    "supervision": BOTTOM | {"logs", "heartbeats", "systemd"},
    "logs": BOTTOM,
    "systemd": BOTTOM,
    "recording": BOTTOM,
    "files": RECORDING - {"logs", "parts"},
    "audio": RECORDING - {"logs", "parts"},
    "cloud": RECORDING - {"logs", "parts"},
    "protocols": RECORDING - {"logs", "parts"} | {"cloud", "audio", "files"},
    "part files": RECORDING - {"logs", "parts"} | {"cloud", "audio", "files", "protocols"},
    "inbox": RECORDING | {"files", "audio"},
    "journey": RECORDING | {"files", "audio", "cloud", "protocols", "inbox"},
    "config": RECORDING | {"files", "audio", "cloud", "protocols", "inbox"},
    "sandbox": {"errors", "values", "logs", "children"},
    "package": set(),
    "address": BOTTOM,
}
DAEMON = RECORDING | {
    "files",
    "audio",
    "cloud",
    "protocols",
    "inbox",
    "journey",
    "config",
    "systemd",
    "supervision",
}
BOOTSTRAP = DAEMON | {"daemon", "bootstrap"}
MAY_IMPORT["daemon"] = DAEMON
MAY_IMPORT["bootstrap"] = BOOTSTRAP
MAY_IMPORT["web"] = BOOTSTRAP
# The cli starts the sandbox; nobody else knows that there is one.
MAY_IMPORT["cli"] = BOOTSTRAP | {"sandbox", "web"}

# Foreign modules, and the places that may import them.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "watchdog": ("inbox/watch.py",),
    "yaml": ("config.py",),
    "sqlalchemy": ("journey/store/",),
    "sqlite3": ("journey/store/",),
    "requests": ("cloud/", "engines/", "storages/", "notifiers/", "sandbox/"),
    "urllib3": ("cloud/", "engines/", "storages/", "notifiers/", "sandbox/"),
    "av": ("audio/booth/", "sandbox/"),  # hostile recordings meet a child process, never the daemon
    "numpy": ("audio/booth/",),
    "asrwatch.audio.booth": ("audio/booth/",),
    "mutagen": ("audio/",),
    "pocketsphinx": ("sandbox/",),
    "starlette": ("sandbox/", "web/"),
    "uvicorn": ("sandbox/", "web/"),
    "jinja2": ("web/",),
    "prometheus_client": ("metrics/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "structlog": ("logs.py", "loglines.py"),
    "logging": ("logs.py", "sandbox/"),
}

# How many handlers may catch everything, by module.
MAY_CATCH_ALL = {
    "daemon/daemon.py": 1,  # a turn of messages
    "daemon/saving.py": 3,  # one message, its giving up, a listener: each fails alone
    "daemon/workers.py": 1,  # a step's failure is its recording's
    "daemon/polling.py": 1,  # a round of questions fails alone, too
    "web/serving.py": 1,  # the page, however broken, must not end the daemon; it is logged and served anew
    "daemon/telling.py": 1,  # and so does a message, whatever a notifier's library raises
    "control.py": 1,  # a question, however odd, must not end the daemon; it is logged and answered
    "inbox/watch.py": 2,  # an exception in a handler ends watchdog's events for good; the scan makes up
}

# Ways to start a process that a file's name or a thread could turn against us.
FORBIDDEN_CALLS = {
    "os.system",
    "os.popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawnv",
    "os.spawnve",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "pickle.loads",
    "yaml.load",
    "eval",
    "exec",
}
FORBIDDEN_KEYWORDS = {"shell", "preexec_fn"}
# These fork: a lock that another thread holds at that moment is held in the child for ever.
FORBIDDEN_IMPORTS = {"pty", "multiprocessing"}


@dataclass(frozen=True)
class Import:
    """One imported module: its full name, and where."""

    module: str
    line: int


@cache
def tree(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def inside(path: Path) -> str:
    """Where a module lies, seen from the package."""
    return path.relative_to(PACKAGE).as_posix()


def dotted(path: Path) -> str:
    """A module's full name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    """Whether there is a module of ours by this name."""
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def imports(name: str, module: ast.Module, *, package: bool = False) -> Iterator[Import]:
    """Everything a module imports, at its top and inside functions, relative imports resolved.

    Args:
        name: the module's full name.
        module: its syntax tree.
        package: whether it is a package's own file.
    """
    around = name if package else name.rpartition(".")[0]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = around.split(".")[: len(around.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(inner if is_module(inner) else base, node.lineno)


def imports_of(path: Path) -> Iterator[Import]:
    """What one of our files imports."""
    return imports(dotted(path), tree(path), package=path.name == "__init__.py")


def room(module: str) -> str:
    """The room of one of our modules."""
    first, _, rest = module.removeprefix("asrwatch").removeprefix(".").partition(".")
    if not first or first == "__main__":
        return "package" if not first else "cli"
    if first == "journey" and rest in LANGUAGE:
        return "recording"
    if first in PARTS:
        return "part files" if rest else "protocols"
    if first == "loglines":
        return "logs"
    if first == "settings":
        return "config"
    return first if first in MAY_IMPORT else "bootstrap"


def not_below(name: str, found: Iterator[Import]) -> list[str]:
    """Imports that do not go down."""
    here = room(name)
    # The public face imports what it offers when it is asked for.
    allowed = MAY_IMPORT["bootstrap"] if here == "package" else MAY_IMPORT[here]
    return [
        f"{name}, line {one.line}: {here} must not import {one.module} ({room(one.module)})"
        for one in found
        if one.module.partition(".")[0] == "asrwatch"
        and room(one.module) not in {here, "package", *allowed}
    ]


def foreign(place: str, found: Iterator[Import]) -> list[str]:
    """Imports of foreign modules outside their rooms."""
    return [
        f"{place}, line {one.line}: {one.module} belongs in {', '.join(places)}"
        for one in found
        for places in [ONLY_IN.get(one.module.partition(".")[0])]
        if places is not None and not place.startswith(places)
    ]


def parts_known(name: str, found: Iterator[Import]) -> list[str]:
    """Imports of part files by name, but for what the parts of a folder share (`_something`)."""
    own = name.split(".")[1:2]
    split = [(one.module.split("."), one.line) for one in found]
    return [
        f"{name}, line {line}: {'.'.join(module)} is to be found by its name (parts.find)"
        for module, line in split
        if len(module) > 2
        and module[0] == "asrwatch"
        and module[1] in PARTS
        and (module[1:2] != own or not module[2].startswith("_"))
    ]


def dangerous(place: str, module: ast.Module) -> list[str]:
    """Calls that start a shell, fork, or turn text or bytes into code."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    words = [(word.arg, call) for call in calls for word in call.keywords]
    return [
        *(
            f"{place}, line {c.lineno}: {n}"
            for c in calls
            for n in [ast.unparse(c.func)]
            if n in FORBIDDEN_CALLS
        ),
        *(
            f"{place}, line {call.lineno}: {word}="
            for word, call in words
            if word in FORBIDDEN_KEYWORDS
        ),
    ]


def catches_all(module: ast.Module) -> list[int]:
    """Lines of handlers that swallow every exception; adding something to one on its way is not swallowing."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]


def test_imports_go_down_only() -> None:
    """A module imports from its own room and from the rooms below, inside functions too."""
    assert [wrong for path in MODULES for wrong in not_below(dotted(path), imports_of(path))] == []


def test_public_face_is_light() -> None:
    """Importing asrwatch imports no other room: what the package offers is imported when asked for."""
    top = [node for node in tree(PACKAGE / "__init__.py").body if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in top if (node.module or "").startswith("asrwatch")] == []


def test_parts_do_not_know_each_other() -> None:
    """A part is reached by its name only; inside a folder, parts share what begins with an underscore."""
    assert [
        wrong for path in MODULES for wrong in parts_known(dotted(path), imports_of(path))
    ] == []


def test_foreign_modules_stay_in_their_rooms() -> None:
    """watchdog, yaml, SQL, HTTP, codecs and the rest are each imported in the one room that hides them."""
    assert [wrong for path in MODULES for wrong in foreign(inside(path), imports_of(path))] == []


def test_no_dangerous_calls() -> None:
    """No shell, no fork, no code between fork and exec, no evaluation of text, no loading of objects."""
    assert [wrong for path in MODULES for wrong in dangerous(inside(path), tree(path))] == []


def test_nothing_forks() -> None:
    """No module that forks is imported: in a process with threads only exec is safe [K05]."""
    forking = [
        f"{inside(path)}, line {one.line}: {one.module}"
        for path in MODULES
        for one in imports_of(path)
        if one.module.partition(".")[0] in FORBIDDEN_IMPORTS
    ]
    assert forking == []


def test_every_module_says_its_job() -> None:
    """Every module begins with a docstring whose first line is one sentence, at most with a short remark."""
    for path in MODULES:
        docstring = ast.get_docstring(tree(path))
        assert docstring, f"{inside(path)} has no docstring"
        first = docstring.splitlines()[0]
        assert first.endswith("."), f"{inside(path)}: {first}"
        _job, *remarks = re.split(r"(?<=[.!?])\s+(?=[A-Z])", first)
        assert len(" ".join(remarks).split()) <= 6, f"{inside(path)}: {first}"


def test_few_places_catch_everything() -> None:
    """Nobody swallows every exception, except in the places that are named here with their reason."""
    found = {inside(path): catches_all(tree(path)) for path in MODULES}
    too_many = {
        place: lines for place, lines in found.items() if len(lines) > MAY_CATCH_ALL.get(place, 0)
    }
    assert too_many == {}


SLY = """
def later():
    import asrwatch.cli.run
    from asrwatch import daemon
    from asrwatch.engines import qwen3_asr_flash, Engine
    from ..inbox import watch
    from . import store
    import watchdog.events, yaml
    try:
        subprocess.run("ls", shell=True)
        os.system("ls")
    except Exception:
        pass
"""


def test_the_law_is_not_blind() -> None:
    """What is forbidden is seen: inside functions, by relative imports, as a submodule of a package."""
    module, name = ast.parse(SLY), "asrwatch.journey.sly"
    upwards = not_below("asrwatch.inbox.sly", imports("asrwatch.inbox.sly", module))
    assert [line.split("import ")[1] for line in upwards] == [
        "asrwatch.cli.run (cli)",
        "asrwatch.daemon (daemon)",
        "asrwatch.engines.qwen3_asr_flash (part files)",
        "asrwatch.engines (protocols)",
    ]
    assert len(not_below(name, imports(name, module))) == 3
    assert len(not_below("asrwatch.files", imports("asrwatch.files.sly", module))) == 5
    assert len(parts_known(name, imports(name, module))) == 1
    assert len(foreign("journey/sly.py", imports(name, module))) == 2
    assert len(dangerous("journey/sly.py", module)) == 2
    assert catches_all(module) == [12]


def test_rooms() -> None:
    """A module's room follows from its name; one nobody has placed yet stands beside bootstrap."""
    assert room("asrwatch.engines") == "protocols"
    assert room("asrwatch.engines.qwen3_asr_flash") == "part files"
    assert room("asrwatch.journey.recording") == "recording"
    assert room("asrwatch.journey.store") == "journey"
    assert room("asrwatch.anything_new") == "bootstrap"
    assert room("asrwatch") == "package"


def test_the_picture_has_no_circles() -> None:
    """No room may import, by any detour, a room that may import it."""

    def below(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        assert name not in seen, f"{name} is below itself"
        direct = MAY_IMPORT[name] - {name}
        return direct.union(*(below(inner, seen | {name}) for inner in direct))

    for name in MAY_IMPORT:
        assert name not in below(name)
