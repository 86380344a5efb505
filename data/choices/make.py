"""Makes piqa.jsonl, blimp.jsonl and known-facts.jsonl beside this file from the sets' own files.

    python3 data/choices/make.py FOLDER

FOLDER holds piqa-dev.jsonl (goal, sol1, sol2, label), blimp-dev/PARADIGM.jsonl (sentence_good, sentence_bad) and
known-facts-dev.jsonl (subject, attribute, relation_id, prompt). The seed decides the splits (fit 40 %, choose 20 %,
report 40 %), the pairs kept of BLiMP, the order of choices and the distractors. Python 3.11 made the files here.
"""

import json
import random
import sys
from collections import defaultdict
from pathlib import Path

SEED = 20260
PAIRS_PER_PARADIGM = 100
DISTRACTORS = 3


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def splits(keys, rng):
    """A split for each of the distinct keys, 40 : 20 : 40."""
    order = sorted(set(keys))
    rng.shuffle(order)
    fit, choose = round(0.4 * len(order)), round(0.6 * len(order))
    return {key: "fit" if i < fit else "choose" if i < choose else "report" for i, key in enumerate(order)}


def piqa(rows, rng):
    """The prompt of lm-evaluation-harness. Items with the same goal are in one split."""
    split = splits([row["goal"].strip() for row in rows], rng)
    for number, row in enumerate(rows):
        yield {
            "id": f"piqa-{number}",
            "context": f"Question: {row['goal'].strip()}\nAnswer:",
            "choices": [f" {row['sol1'].strip()}", f" {row['sol2'].strip()}"],
            "label": row["label"],
            "split": split[row["goal"].strip()],
        }


def blimp(folder, rng):
    """Whole sentences without a context; pairs of equal sentences are left out. Every paradigm is in every split."""
    for path in sorted(folder.glob("*.jsonl")):
        differing = [(n, row) for n, row in enumerate(read(path)) if row["sentence_good"] != row["sentence_bad"]]
        pairs = sorted(rng.sample(differing, PAIRS_PER_PARADIGM), key=lambda pair: pair[0])
        split = splits([number for number, _ in pairs], rng)
        for number, row in pairs:
            label = rng.randrange(2)
            choices = [row["sentence_bad"], row["sentence_bad"]]
            choices[label] = row["sentence_good"]
            yield {
                "id": f"{path.stem}-{number}",
                "group": path.stem,
                "context": "",
                "choices": choices,
                "label": label,
                "split": split[number],
            }


def known_facts(rows, rng):
    """Distractors are attributes of other rows of the relation; relations with fewer than four are left out."""
    attributes = defaultdict(set)
    for row in rows:
        attributes[row["relation_id"]].add(row["attribute"])
    split = splits([row["subject"] for row in rows], rng)
    for number, row in enumerate(rows):
        others = sorted(attributes[row["relation_id"]] - {row["attribute"]})
        if len(others) < DISTRACTORS:
            continue
        choices = [row["attribute"], *rng.sample(others, DISTRACTORS)]
        rng.shuffle(choices)
        yield {
            "id": f"known-{number}",
            "group": row["relation_id"],
            "context": row["prompt"],
            "choices": [f" {choice}" for choice in choices],
            "label": choices.index(row["attribute"]),
            "split": split[row["subject"]],
        }


def write(name, items):
    lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in items]
    Path(__file__).with_name(name).write_text("".join(lines), encoding="utf-8")


def main():
    source = Path(sys.argv[1])
    write("piqa.jsonl", piqa(read(source / "piqa-dev.jsonl"), random.Random(SEED)))
    write("blimp.jsonl", blimp(source / "blimp-dev", random.Random(SEED)))
    write("known-facts.jsonl", known_facts(read(source / "known-facts-dev.jsonl"), random.Random(SEED)))


main()
