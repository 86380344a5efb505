"""Makes chat.jsonl: short dialogues, the assistant's turns in answer to the user's.

    python data/corpus/chat.py CACHE > data/corpus/chat.jsonl

From chatterbot-corpus: small talk, quizzes, help with computers, requests for code, each once. Most of its lists are
an utterance and several answers to choose from: the first is taken; those of one topic are turns in their order. From data/choices/piqa.jsonl: the goal as the user's turn and the right solution as the
assistant's, only of items whose split there is `fit`, so that nothing that choices are evaluated on is in here. CACHE
is a folder for the package.
"""

import json
import re
import sys
from pathlib import Path

import yaml
from documents import from_pypi, write

VERSION = "1.3.3"
# The one topic whose lists are dialogues.
DIALOGUES = "conversations"
TOPICS = ["coding", "computers", "conversations", "food", "greetings", "history", "literature", "money", "movies"]
TOPICS += ["science", "sports", "tech_support", "trivia"]
SHORTEST_ANSWER, LONGEST_DIALOGUE = 24, 1500
CHOICES = Path(__file__).parent.parent / "choices" / "piqa.jsonl"


def chat(turns: list[str]) -> dict:
    """The user's turn first; a last one that nobody answers is left out."""
    answered = turns[: len(turns) // 2 * 2]
    roles = ["user", "assistant"] * (len(answered) // 2)
    messages = [{"role": role, "content": turn} for role, turn in zip(roles, answered)]
    return {"messages": messages, "domain": "chat"}


def dialogues(cache: Path) -> list[dict]:
    folder = from_pypi(cache, "chatterbot-corpus", VERSION) / "chatterbot_corpus" / "data" / "english"
    found: dict[tuple[str, ...], None] = {}
    for topic in TOPICS:
        conversations = yaml.safe_load((folder / f"{topic}.yml").read_text(encoding="utf-8"))["conversations"]
        for turns in conversations:
            whole = tuple(str(turn).strip() for turn in (turns if topic == DIALOGUES else turns[:2]))
            if all(whole) and is_worth_reading(whole):
                found.setdefault(whole)
    return [chat(list(turns)) for turns in found]


def is_worth_reading(turns: tuple[str, ...]) -> bool:
    answers = turns[1::2]
    return sum(map(len, turns)) <= LONGEST_DIALOGUE and sum(map(len, answers)) >= SHORTEST_ANSWER


def solutions() -> list[dict]:
    items = [json.loads(line) for line in CHOICES.read_text(encoding="utf-8").splitlines()]
    chats = []
    for item in items:
        goal = re.fullmatch(r"Question: (.*)\nAnswer:", item["context"], flags=re.DOTALL)[1].strip()
        answer = item["choices"][item["label"]].strip()
        if item["split"] == "fit" and len(answer) >= SHORTEST_ANSWER:
            # Items of one goal must not come apart in a split.
            chats.append(chat([goal, answer]) | {"source": f"PIQA: {goal}"})
    return chats


write(dialogues(Path(sys.argv[1])) + solutions())
