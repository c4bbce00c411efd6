"""Gathers every sentence that a person may read from the syntax trees; as a script it names the untranslated.

    python tests/words_gathering.py --missing    those that no file under asrwatch/words/zh knows, by room
    python tests/words_gathering.py --add        writes them into those files, untranslated ("")
    python tests/words_gathering.py --unused     rows whose English the code does not say any more

A sentence is a constant or an f-string with two words in it; in an f-string each value becomes a {name}, of two choices
(`"a" if x else "b"`) both are gathered. What is not for people is excluded by module or by the call it stands in.
"""

import argparse
import ast
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "asrwatch"
TABLES = PACKAGE / "words" / "zh"

NOT_SHOWN = {
    "sandbox/": "plays the vendor's part, who speaks English",
    "crash.py": "names of places, for tests",
    "logs.py": "the log stays English",
    "loglines.py": "same",
    "words/": "the table itself",
    "journey/store/tables.py": "SQL",
    "journey/store/migrations.py": "SQL",
    "journey/store/recordings.py": "a bug of ours, for whoever mends it",
    "cli/_dropin.py": "a unit file, whose comments an administrator reads beside systemd's own",
    "cli/_unitfile.py": "same",
    "formats/": "transcripts, not messages",
    "metrics/exposition.py": "read by Prometheus, in English",
    "metrics/measured.py": "same",
}
"""Places (beginnings of paths) whose strings nobody reads on a screen."""

SILENT_CALLS = {
    "compile", "fullmatch", "match", "search", "sub", "split", "findall", "finditer",  # patterns
    "debug", "info", "warning", "error", "critical", "exception", "bind",  # log lines
    "getattr", "text", "DDL", "CheckConstraint", "execute",  # names, SQL
    "NewType", "TypeVar", "namedtuple", "place", "encode", "Pattern", "exec_driver_sql", "Index", "Prepared",
}  # fmt: skip
"""Calls whose arguments are for machines."""

THROUGH = {"printable", "safe", "str", "repr", "join", "local", "shown", "quote", "sorted", "len", "sum", "list",
           "set", "tuple", "round", "abs", "int", "fsdecode", "basename", "decode", "counted", "isoformat"}  # fmt: skip
"""Calls that are named by what they are given."""

_WORDS = re.compile(
    r"[a-z]{2,}[,:]? (?:[a-z{`'(]|\d)|\} [a-z]{2}|[A-Za-z]{2,}: \{|[A-Z][a-z]+ [A-Z]?[a-z]+|\} [A-Z]"
)


_NEVER = re.compile(
    r"^(SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|PRAGMA|WITH) |^Content-(Type|Disposition)|'self'|<time "
    r"|^Bearer |^{self} |{wanted} ORDER BY|^(retry|event|data|id): "
    r"|event: {kind}|^default-src |^Input should$|^Value error$"
    r"|^Callback with id$|^not authorized$"
)
"""SQL, headers, markup."""

_IN_TEMPLATES = re.compile(r"""\b_\(\s*(?:"((?:[^"\\\\]|\\\\.)*)"|'((?:[^'\\\\]|\\\\.)*)')""")
"""What the page's templates say: `_("...")`."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """English as the table writes it, and where it stands."""

    english: str
    module: str
    line: int


def gathered() -> list[Sentence]:
    """All of them, each English once, in the order of the modules."""
    found: dict[str, Sentence] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if not module.startswith(tuple(NOT_SHOWN)):
            for sentence in sentences_of(ast.parse(path.read_text(encoding="utf-8")), module):
                found.setdefault(sentence.english, sentence)
    for sentence in _of_templates():
        found.setdefault(sentence.english, sentence)
    return list(found.values())


def _of_templates() -> Iterator[Sentence]:
    for path in sorted(PACKAGE.rglob("*.html")):
        module = path.relative_to(PACKAGE).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for said in _IN_TEMPLATES.finditer(line):
                english = (said[1] or said[2]).replace('\\"', '"').replace("\\'", "'")
                yield Sentence(english=english, module=module, line=number)


def sentences_of(tree: ast.Module, module: str) -> Iterator[Sentence]:
    """The sentences of one module."""
    silent = _silent(tree)
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        for english in itertools.chain(_texts(node), _help(node, module)):
            if english and _is_said(english, node):
                yield Sentence(english=english, module=module, line=getattr(node, "lineno", 0))


def _is_said(english: str, node: ast.AST) -> bool:
    return not _NEVER.search(english) and bool(
        _WORDS.search(english) or isinstance(node, ast.Yield)
    )


def _is_label(node: ast.AST) -> bool:
    """Whether even a single word is meant for people here: a row's label, or what is handed to `shown`."""
    match node:
        case ast.Yield():
            return True
        case ast.Call(func=ast.Name(id="shown" | "say")):
            return True
        case _:
            return False


def _texts(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(written)):
            for line in written.split("\n"):
                yield _trimmed(line)
        case ast.JoinedStr():
            for form in _forms(node):
                for line in form.split("\n"):
                    yield _trimmed(line)
        case ast.Yield(value=ast.Tuple(elts=[label, _])):  # a row: its label, and the text
            for each in (label.body, label.orelse) if isinstance(label, ast.IfExp) else (label,):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value
        case ast.Call(func=ast.Name(id="shown" | "say"), args=[ast.Constant(value=str(said)), *_]):
            yield _trimmed(said)
        case ast.Call(func=ast.Name(id="counted"), args=[number, ast.Constant(value=str(thing))]):
            yield f"{{{_name(number)}}} {thing}(s)"
        case _:
            return


def _help(node: ast.AST, module: str) -> Iterator[str]:
    """A command's docstring is its help; a part's first line is what `asrwatch parts` says of it."""
    parts = module.split("/")
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return
    docstring = ast.get_docstring(node) or ""
    if parts[0] == "cli" and isinstance(node, ast.FunctionDef):
        command = {"__init__.py": "asrwatch"}.get(parts[-1], parts[-1].removesuffix(".py"))
        if node.name == command:
            yield docstring.partition("\n")[0].partition(". ")[0].removesuffix(".") + "."
            for paragraph in docstring.split("\n\n"):
                yield " ".join(paragraph.split())
    a_part = parts[0] in {"engines", "storages", "formats", "notifiers"} and len(parts) > 1
    if a_part and isinstance(node, ast.ClassDef) and _is_chosen(node, parts[-1]):
        yield docstring.partition("\n")[0]


def _is_chosen(node: ast.ClassDef, file: str) -> bool:
    """Whether a class is a part that the configuration names, and not its options."""
    bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
    return not file.startswith("_") and bool(bases & {"Engine", "Storage", "Format", "Notifier"})


def _forms(node: ast.JoinedStr) -> Iterator[str]:
    choices: list[list[str]] = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            choices.append([str(part.value)])
        elif isinstance(part, ast.FormattedValue):
            choices.append(_choices(part))
    used = itertools.islice(itertools.product(*choices), 8)
    for form in used:
        yield _numbered("".join(form))


def _choices(part: ast.FormattedValue) -> list[str]:
    match part.value:
        case ast.IfExp(body=body, orelse=orelse) if (
            _plain(body) is not None and _plain(orelse) is not None
        ):
            return [_plain(body) or "", _plain(orelse) or ""]
        case ast.Constant(value=str(written)):
            return [written]
        case _:
            return [f"{{{_name(part.value)}}}"]


def _plain(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return next(_forms(node), None)
    return None


def _name(node: ast.expr) -> str:
    """A value's name in the table, from the expression that makes it."""
    match node:
        case ast.Name(id=name):
            found = name
        case ast.Attribute(value=inner, attr="value" | "name"):
            found = _name(inner)
        case ast.Attribute(attr=name):
            found = name
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]) if (
            name in THROUGH or name.startswith("format_")
        ):
            found = _name(first)
        case ast.Call(func=ast.Attribute(value=inner, attr="isoformat" | "decode" | "strip")):
            found = _name(inner)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            found = name
        case ast.Subscript(value=inner):
            found = _name(inner)
        case ast.BoolOp(values=[first, *_]):
            found = _name(first)
        case ast.GeneratorExp(elt=inner) | ast.ListComp(elt=inner) | ast.SetComp(elt=inner):
            found = _name(inner)
        case ast.BinOp(left=left) if not isinstance(left, ast.Constant):
            found = _name(left)
        case _:
            found = "what"
    return found.strip("_").lower() or "what"


def _numbered(form: str) -> str:
    """Values side by side become one; equal names are told apart."""
    form = re.sub(r"(\{[a-z_0-9]+\})(?:\{[a-z_0-9]+\})+", r"\1", form)
    seen: dict[str, int] = {}

    def once(found: re.Match[str]) -> str:
        name = found[1]
        seen[name] = seen.get(name, 0) + 1
        return f"{{{name}{seen[name]}}}" if seen[name] > 1 else f"{{{name}}}"

    return re.sub(r"\{([a-z_][a-z0-9_]*)\}", once, form)


def _trimmed(text: str) -> str:
    """Without what joins it to its neighbours."""
    return text.strip().lstrip(",;:").rstrip(",;").strip().removesuffix(":").strip()


def _silent(tree: ast.Module) -> set[int]:  # noqa: C901, PLR0912 - one case per place nobody reads
    """Nodes that are not for people: docstrings, log lines, patterns, and what lies inside other strings."""
    silent: set[int] = set()

    def hush(node: ast.AST) -> None:
        silent.update(id(each) for each in ast.walk(node))

    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as said):
                hush(said)
            case ast.JoinedStr(values=parts):
                for part in parts:
                    if isinstance(part, ast.Constant):
                        silent.add(id(part))
                    elif isinstance(part, ast.FormattedValue):
                        if isinstance(part.value, ast.IfExp | ast.Constant):
                            hush(part)
                        if part.format_spec is not None:
                            hush(part.format_spec)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
                if name in SILENT_CALLS:
                    for argument in arguments:
                        hush(argument)
                for word in node.keywords:
                    if word.arg in {"metavar", "code", "pattern", "description", "says"}:
                        hush(word.value)
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                hush(value)
            case ast.Raise(exc=ast.Call(func=ast.Name(id="OurBug")) as bug):
                hush(bug)  # for whoever mends it
            case (
                ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation)
            ):
                if "Annotated" not in ast.unparse(annotation):
                    hush(annotation)
            case ast.FunctionDef(returns=ast.expr() as returns):
                hush(returns)
            case _:
                pass
    return silent


def room_of(sentence: Sentence) -> str:
    """The file of the table that a sentence belongs to."""
    first, _, rest = sentence.module.partition("/")
    return first if rest else "house"


def tables() -> dict[str, dict[str, str]]:
    """The table's files as they are, by room."""
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(TABLES.glob("*.json"))
    }


def missing() -> list[Sentence]:
    """Sentences without a translation."""
    known = {english for rows in tables().values() for english, chinese in rows.items() if chinese}
    return [sentence for sentence in gathered() if sentence.english not in known]


def write(found: dict[str, dict[str, str]]) -> None:
    """Write the table's files."""
    for room, rows in found.items():
        text = json.dumps(rows, ensure_ascii=False, indent=1)
        (TABLES / f"{room}.json").write_text(text + "\n", encoding="utf-8")


def _main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--unused", action="store_true")
    asked = parser.parse_args()
    if asked.missing or asked.add:
        found = tables()
        for each in missing():
            print(f"{each.module}:{each.line}: {each.english}")  # noqa: T201 - a script's answer
            found.setdefault(room_of(each), {}).setdefault(each.english, "")
        if asked.add:
            write(found)
    if asked.unused:
        said = {sentence.english for sentence in gathered()}
        for room, rows in tables().items():
            for english in rows:
                if english not in said and room != "labels":
                    print(f"{room}: {english}")  # noqa: T201 - a script's answer


if __name__ == "__main__":
    _main()
