"""Makes code.jsonl: whole functions, classes and declarations from packages under permissive licences.

    python data/corpus/source_code.py CACHE > data/corpus/code.jsonl

Python by its syntax tree; TypeScript and JavaScript from a line that begins a declaration to the line that closes it,
with the comment above. Pieces of 200 to 1,500 characters, a few from each file, evenly over the package's files. A
document's source is its file. CACHE is a folder for the packages.
"""

import ast
import re
import sys
from pathlib import Path

from documents import from_npm, from_pypi, write

SHORTEST, LONGEST = 200, 1500
PIECES_PER_FILE = 2
BYTES_PER_PACKAGE = 16_000

# Package, version, folder of its sources, files.
NPM = [
    ("rxjs", "7.8.2", "src/internal", "**/*.ts"),
    ("zod", "4.6.7", "src", "**/*.ts"),
    ("express", "5.3.0", "lib", "**/*.js"),
    ("fastify", "5.12.8", "lib", "**/*.js"),
]
PYPI = [
    ("requests", "2.34.2", "requests", "**/*.py"),
    ("flask", "3.1.3", "flask", "**/*.py"),
    ("networkx", "3.6.1", "networkx/algorithms", "*.py"),
]


def python_pieces(source: str) -> list[str]:
    lines = source.splitlines()
    pieces = []
    nodes = [node for top in ast.parse(source).body for node in (top.body if isinstance(top, ast.ClassDef) else [top])]
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno] + [decorator.lineno for decorator in node.decorator_list])
            block = lines[first - 1 : node.end_lineno]
            indent = len(block[0]) - len(block[0].lstrip())
            pieces.append("\n".join(line[indent:] for line in block))
    return pieces


DECLARATION = re.compile(
    r"^(?:/\*\*(?:(?!\*/).)*\*/\n)?"  # the comment above
    r"(?:export |module\.exports|async |function|class |const |let |[\w.]+ = function)[^\n]*[{(\[]\n"
    r"(?:(?:[ \t}\])][^\n]*)?\n)*?"  # lines that are indented, empty, or go on after a bracket
    r"[}\])]+[;,)]*\n",
    flags=re.MULTILINE | re.DOTALL,
)


def script_pieces(source: str) -> list[str]:
    return [match[0].rstrip() for match in DECLARATION.finditer(source.replace("\r\n", "\n"))]


def package_documents(root: Path, package: str, folder: str, files: str, pieces_of) -> list[dict]:
    paths = [path for path in sorted((root / folder).glob(files)) if "test" not in str(path.relative_to(root))]
    documents = []
    for path in paths:
        source = path.read_text(encoding="utf-8")
        fitting = [piece for piece in pieces_of(source) if SHORTEST <= len(piece) <= LONGEST]
        name = f"{package}/{path.relative_to(root)}"
        documents += [{"text": piece, "domain": "code", "source": name} for piece in fitting[:PIECES_PER_FILE]]
    size = sum(len(document["text"].encode()) for document in documents)
    step = max(1.0, size / BYTES_PER_PACKAGE)
    return [documents[int(i * step)] for i in range(int(len(documents) / step))]


def main() -> None:
    cache = Path(sys.argv[1])
    documents = []
    for name, version, folder, files in NPM:
        documents += package_documents(from_npm(cache, name, version), name, folder, files, script_pieces)
    for name, version, folder, files in PYPI:
        documents += package_documents(from_pypi(cache, name, version), name, folder, files, python_pieces)
    write(documents)


main()
