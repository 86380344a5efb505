"""Makes encyclopaedia.jsonl.

    python data/corpus/encyclopaedia.py PATH/TO/wikitext2-valid.txt CACHE > data/corpus/encyclopaedia.jsonl

From the validation split of WikiText-2 (tokenised form): undoes the tokenisation (" @-@ ", spaces before punctuation,
"do n't") and keeps of each paragraph every run of sentences without an unknown word that has at least 160 characters.
From the 106 articles of the English Wikipedia that come with gensim for its tests: paragraphs of 400 to 1,500
characters without lists, tables and formulas, the first 3 of an article. A document's source is its article. CACHE is
a folder for the package.
"""

import bz2
import html
import re
import sys
from pathlib import Path

from documents import from_pypi, write

GENSIM = "4.4.0"
DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

HYPHENS = [(" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")]
CLITICS = ["'s", "n't", "'ll", "'re", "'ve", "'d", "'m"]
TITLES = ["Mr", "Mrs", "Dr", "St", "No", "Lt", "vs", "Col", "Gen", "Sgt", "Capt", "Jr"]
# A full stop after an initial or a title does not end a sentence.
UNBROKEN = r"(?<!\b[A-Z]\.)" + "".join(rf"(?<!\b{title}\.)" for title in TITLES)
SENTENCE_END = re.compile(rf"(?<=[.!?\"]){UNBROKEN} (?=[A-Z\"'])")
SHORTEST_RUN = 160
PARAGRAPHS_PER_ARTICLE = 3


def detokenise(line: str) -> str:
    for mark, plain in HYPHENS:
        line = line.replace(mark, plain)
    line = re.sub(r" ([.,;:!?)\]%])", r"\1", line)
    line = re.sub(r"([(\[$£€]) ", r"\1", line)
    for clitic in CLITICS:
        line = line.replace(" " + clitic, clitic)
    line = re.sub(r"s ' ", "s' ", line)
    line = re.sub(r'" ([^"]*?) "', r'"\1"', line)
    line = re.sub(r"(^| )' ([^']*?) '", r"\1'\2'", line)
    line = re.sub(r"(\d) – (\d)", r"\1–\2", line)
    line = re.sub(r"(\d) °", r"\1°", line)
    return line.strip()


def known_runs(paragraph: str) -> list[str]:
    runs: list[list[str]] = [[]]
    for sentence in SENTENCE_END.split(paragraph):
        if "<unk>" in sentence:
            runs.append([])
        else:
            runs[-1].append(sentence)
    return [run for run in (" ".join(sentences) for sentences in runs) if is_whole(run)]


def is_whole(run: str) -> bool:
    """A text that begins and ends as one does, whose quotes and brackets close."""
    return (
        len(run) >= SHORTEST_RUN
        and re.match(r"[A-Z\"'0-9]", run) is not None
        and run[-1] in '.!?"'
        and run.count('"') % 2 == 0
        and run.count("(") == run.count(")")
        and " ' " not in run
        and ' " ' not in run
    )


def wikitext_documents(path: str) -> list[dict]:
    articles = 0
    documents = []
    for line in open(path, encoding="utf-8"):
        if re.fullmatch(r" = [^=]+ = \n", line):
            articles += 1
        elif not line.startswith(" ="):
            documents += [document(run, f"WikiText-2 article {articles}") for run in known_runs(detokenise(line))]
    return documents


def document(text: str, article: str) -> dict:
    return {"text": text, "domain": "encyclopaedia", "source": article}


def innermost(pattern: str, text: str) -> str:
    """Removes what the pattern finds until it finds no more: brackets within brackets."""
    while True:
        text, count = re.subn(pattern, "", text, flags=re.DOTALL)
        if count == 0:
            return text


def plain(wikitext: str) -> str:
    """Article text without markup, paragraph by line."""
    text = html.unescape(wikitext)
    text = re.sub(r"<!--.*?-->|<ref[^>/]*/>|<ref.*?</ref>|<(math|gallery|timeline|code|pre|source|nowiki)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = innermost(r"\{\{[^{}]*\}\}", text)
    text = innermost(r"\{\|(?:(?!\{\||\|\}).)*\|\}", text)
    text = innermost(r"\[\[(?:File|Image|Category):(?:(?!\[\[|\]\]).|\[\[(?:(?!\[\[|\]\]).)*\]\])*\]\]", text)
    text = re.sub(r"\[\[(?:[^|\[\]]*\|)?([^\[\]|]*)\]\]", r"\1", text)
    text = re.sub(r"\[https?:\S+ ([^\]]*)\]", r"\1", text)
    text = re.sub(r"'{2,}|</?(small|sup|sub|i|b|br|span|div|blockquote)\b[^>]*>", "", text)
    return text.replace("\u00a0", " ")


def is_prose(paragraph: str) -> bool:
    return (
        400 <= len(paragraph) <= 1500
        and re.match(r"[A-Z\"]", paragraph) is not None
        and paragraph[-1] in ".\""
        and re.search(r"[{}\[\]<>|=]|\( ?[,;)]|\(\)| [,;.]|  |__", paragraph) is None
        and paragraph.count("(") == paragraph.count(")")
    )


def wikipedia_documents(cache: Path) -> list[dict]:
    dump = bz2.open(from_pypi(cache, "gensim", GENSIM) / DUMP, "rt", encoding="utf-8").read()
    documents = []
    for page in re.findall(r"<page>.*?</page>", dump, flags=re.DOTALL):
        title = html.unescape(re.search(r"<title>(.*?)</title>", page)[1])
        body = re.search(r"<text[^>]*>(.*?)</text>", page, flags=re.DOTALL)
        if "<redirect" in page or ":" in title or body is None:
            continue
        # The dump itself is XML: its markup is escaped once more than the article's.
        paragraphs = [line.strip() for line in plain(html.unescape(body[1])).split("\n")]
        prose = [paragraph for paragraph in paragraphs if is_prose(paragraph)]
        documents += [document(paragraph, title) for paragraph in prose[:PARAGRAPHS_PER_ARTICLE]]
    return documents


def main() -> None:
    path, cache = sys.argv[1:]
    write(wikitext_documents(path) + wikipedia_documents(Path(cache)))


main()
