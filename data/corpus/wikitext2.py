"""Makes wikitext2.txt from the validation split of WikiText-2 (tokenised form), one paragraph a line block.

    python data/corpus/wikitext2.py PATH/TO/wikitext2-valid.txt > data/corpus/wikitext2.txt

Undoes the set's tokenisation (" @-@ ", spaces before punctuation, "do n't"), drops headings, and keeps of each
paragraph its longest run of sentences without an unknown word, if that has at least 200 characters. Paragraphs
are separated by blank lines.
"""

import re
import sys

HYPHENS = [(" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")]
CLITICS = ["'s", "n't", "'ll", "'re", "'ve", "'d", "'m"]


def detokenise(line: str) -> str:
    for mark, plain in HYPHENS:
        line = line.replace(mark, plain)
    line = re.sub(r" ([.,;:!?)\]%])", r"\1", line)
    line = re.sub(r"([(\[]) ", r"\1", line)
    for clitic in CLITICS:
        line = line.replace(" " + clitic, clitic)
    line = re.sub(r'" ([^"]*?) "', r'"\1"', line)
    line = re.sub(r"(\d) – (\d)", r"\1–\2", line)
    return line.strip()


def longest_known_run(paragraph: str) -> str:
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z\"])", paragraph)
    runs = [[]]
    for sentence in sentences:
        if "<unk>" in sentence:
            runs.append([])
        else:
            runs[-1].append(sentence)
    return max((" ".join(run) for run in runs), key=len)


def main() -> None:
    lines = (detokenise(line) for line in open(sys.argv[1], encoding="utf-8"))
    runs = (longest_known_run(line) for line in lines if not line.startswith("="))
    sys.stdout.write("\n\n".join(run for run in runs if len(run) >= 200) + "\n")


main()
