"""Reference tokens for test/transformers/tokenizer.test.ts by Hugging Face's tokenizers, built from GGUF metadata.

python test/golden/tokenizer-ids.py SMOLLM2.gguf GEMMA.gguf WIKITEXT.txt FORWARD-REFERENCE.json > test/golden/tokenizer-ids.json
Made with tokenizers 0.23.3, gguf 0.19.0, Python 3.11; seed 20250301. `ends` are UTF-8 byte offsets.
Gemma's ids were also compared with those of its published tokenizer.json: no difference.
"""

import json
import random
import sys

import gguf
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

SEED = 20250301
CONTROL, USER_DEFINED, BYTE = 3, 4, 6
BLOCK = "\u2581"
MODELS = {"smollm2": "smollm2-135m-instruct", "gemma3": "gemma-3-270m"}

WRITTEN = [
    "", " ", "  ", "   ", " a", "a ", " a ", "  a", "   a", "a  b", "a   b", "a\tb", "a\t\tb", "\t", "\t\t\t a", "a \t b",
    "\n", "\n\n", "\n\n\n", "a\nb", "a\n\nb", "a\n \nb", "a \n b", "\n a", "\r\n", "a\r\nb\r\n", "a\rb", "\n\r\n\r", "\n" * 33,
    " " * 31, " " * 32, " " * 33, " " * 64 + "x", "\t" * 32, "x" + " " * 40 + "y", "a \n\n  \t b", "  \n  ", " \n", "\n ",
    "Hello, world!", "Hello world", "hello  world", "HELLO", "The quick brown fox jumps over the lazy dog.",
    "I'm you're he'll we've they'd it's can't", "I'M YOU'RE HE'LL", "\u2019s don\u2019t", "'s", " 's", "''''", "\"quoted\"",
    "0", "1", "12", "123", "1234567890", "3.14159265358979", "1,000,000", " 2024", "a1b2c3", "x 1 2 3", "1  2", "9" * 60,
    "\u0663\u0664\u0665", "\u00bd \u00b2 \u00b3 x\u00b2", "\u2167 \u2460 \u3007", "\u0967\u0968\u0969", "100%", "$5.00", "\u20ac20", "-1e-10", "0x1F", "1\u00a0000",
    "def f(x):\n    return x + 1\n", "if (a && b) {\n\treturn c;\n}\n", "for (let i = 0; i < n; i++) { a[i] += 1; }",
    "SELECT * FROM t WHERE a = 'b';", "#include <stdio.h>\nint main(void) { return 0; }", "x = {'a': [1, 2, 3]}", "a->b::c", "=> == === != !==",
    "https://example.org/a/b?c=d&e=f#g", "user@example.org", "C:\\Users\\x", "/usr/local/bin", "foo_bar_baz fooBarBaz FOO_BAR", "/* c */ // d", "'''doc'''",
    "class A(B):\n        pass\n\n\n    def g(self): ...", "{\n  \"a\": null,\n  \"b\": [true, false]\n}", "\\n\\t\\u0000", "`code` **bold** _it_ ~~s~~ # h1\n- x\n* y\n",
    "<table><tr><td>1</td></tr></table>", "<b>bold</b> <i>it</i>", "<h1>T</h1>\n<p>x</p>", "<code>a</code>", "<ul>\n <li>a</li>\n</ul>", "<div class=\"x\">", "</ div>", "<TABLE>",
    "> </", ">  </", "> </div>", "a> </a", "> > > </", "x> y", "><", "> a </b> c", ">\u2581</", "-> </-", "</a> </b>", "> <", "</", " </",
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_start|>user\nHi<|im_end|>\n", "a<|im_end|>b", "<|im_end", "<|im_end|", "<|<|im_end|>|>", "<|endoftext|><|endoftext|>", " <|im_end|> x",
    "<repo_name>a<file_sep>", "<jupyter_code>x = 1<jupyter_output>1", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "a<bos>b", "<bos><eos>", "<start_of_turn>user\nHi<end_of_turn>\n", "[multimodal]", "<unused0>", "<unused6241>", "<unused6242>", "<start_of_image>", "<end_of_image>", "[toxicity=0]", "[INST] x [/INST]",
    "<0x41>", "<0x0A>", "<0xE2>", "\u2581", "\u2581\u2581", "\u2581\u2581\u2581", "a\u2581b", "a\u2581\u2581b", "\u2581a", "a \u2581b", "a\u2581 b", " \u2581 ", "\u2581\u2581 \u2581\u2581", "\u2581the \u2581the", "\u2581" * 33, "a\u2581\nb", "\u0120a \u010a \u2423",
    "caf\u00e9", "cafe\u0301", "na\u00efve r\u00e9sum\u00e9", "\u00c5ngstr\u00f6m A\u030angstro\u0308m", "stra\u00dfe STRASSE \u1e9e", "\ufb01 \ufb03 \u0132", "\uff21\uff22\uff23 \uff11\uff12", "\u212b \u2126 \u1e9b\u0323", "x\u0300\u0301\u0302\u0303",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002", "\ud55c\uad6d\uc5b4 \ubb38\uc7a5\uc785\ub2c8\ub2e4.", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5", "Xin ch\u00e0o th\u1ebf gi\u1edbi", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0", "\u1200\u120e \u12d3\u1208\u121d", "Die Hauptstadt von Frankreich ist Paris.", "El ni\u00f1o comi\u00f3 pi\u00f1a.", "Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144", "\u0130stanbul \u0131\u011fd\u0131r", "\u13a0\u13a1 \u1401\u1402 \u2c00\u2c01", "\ua9b2\ua9b3 \u1b13", "\u4e00" * 40, "\u3042" * 40,
    "\U0001f600", "\U0001f469\u200d\U0001f4bb", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "a\U0001f600b", " \U0001f600 ", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\u263a \u2603 \u2713 \u2192 \u221e", "\U0001d54f \U0001d7d8 \U0001d11e", "\U00020000 \U0002a6d6", "\U00012000\U00013000", "\U0001faf6 \U0001f979",
    "\x00", "a\x00b", "\x01\x02\x03", "\x04", "a\x04b", "\x04a", "a\x04", "!\x04!", "!\x06?\x13.", "\x04\x04\x04", " \x04 ", "\x14\x16\x1d", "a \x1d\n", "\x1b[31mred\x1b[0m", "\x7f", "\x80\x81", "\x85", "a\x85b", "a \x85 b", "\x0b\x0c", "a\x0bb",
    "\ufeff", "\ufeffa", "a\ufeffb", " \ufeff ", "\u00a0", "a\u00a0b", "a \u00a0 b", "\u2003\u2003a", "\u3000a", "a\u3000\u3000b", "\u200b", "a\u200bb", "\u2028\u2029", "\u180e", "\u1680a", "\u00ad", "\u202ea", "\ufffd", "\ufffe\uffff", "\ue000\uf8ff", "\U00040000", "a\U00040000b", "!\U00080000!", "\U000e0001", "\U0010ffff", "\u0378",
    "a" * 300, "ab" * 100, "!" * 50, "-" * 80, "=" * 40, "." * 33, "_" * 20, "aA" * 30, "\u00e9" * 50, "#" * 17, "hahahahahahaha", "aaaaa bbbbb", "(((())))", "????!!!!", ". . . .", " .", " , ;", "a,b;c:d", "\u2014\u2013\u2026\u00b7\u2022",
]  # fmt: skip


def metadata(path):
    fields = gguf.GGUFReader(path).fields
    return lambda key: fields[f"tokenizer.ggml.{key}"].contents()


def smollm2(get):
    tokens, types = get("tokens"), get("token_type")
    merges = [tuple(merge.split(" ")) for merge in get("merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.add_special_tokens([token for token, type in zip(tokens, types) if type == CONTROL])
    letters = byte_letters()
    special = {i for i, type in enumerate(types) if type == CONTROL}
    held = [tokens[i].encode() if i in special else bytes(letters[c] for c in tokens[i]) for i in range(len(tokens))]
    missing = {byte for letter, byte in letters.items() if letter not in set(tokens)}
    return tokenizer, lambda text, encoding: spelt_ends(text, encoding, held, missing)


def byte_letters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(rest)}


def spelt_ends(text, encoding, held, missing):
    """Ends by the tokens' own bytes; a byte no token holds goes with the token before it."""
    source, at, ends = text.encode(), 0, []
    owner = [i for i, c in enumerate(text) for _ in c.encode()]

    def skip(at):
        while at < len(source) and source[at] in missing:
            at += 1
        return at

    at = skip(0)
    for id, (_, offset) in zip(encoding.ids, encoding.offsets):
        for byte in held[id]:
            at = skip(at)
            assert source[at] == byte, (text, id, at)
            at += 1
        # The library's own offsets slip once a byte has been left out.
        assert owner[at - 1] == offset - 1 or missing & set(source), (text, id, at)
        at = skip(at)
        ends.append(at)
    assert at == len(source)
    return ends


def gemma3(get):
    types, scores = get("token_type"), get("scores")
    tokens = [t.replace(" ", BLOCK) if type == USER_DEFINED else t for t, type in zip(get("tokens"), types)]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges_by_score(vocab, scores, types), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", BLOCK)
    added = [(token, type) for token, type in zip(tokens, types) if type in (CONTROL, USER_DEFINED)]
    tokenizer.add_tokens([AddedToken(token, special=type == CONTROL, normalized=False) for token, type in added])
    return tokenizer, lambda text, encoding: char_ends(text, encoding, {i for i, type in enumerate(types) if type == BYTE})


def merges_by_score(vocab, scores, types):
    """As the converter of transformers; a user-defined token has SentencePiece's score for it, 0, the best there is."""
    merges = []
    for token, i in vocab.items():
        score = 0.0 if types[i] == USER_DEFINED else scores[i]
        splits = [(token[:j], token[j:]) for j in range(1, len(token))]
        known = [(left, right) for left, right in splits if left in vocab and right in vocab]
        merges += [(left, right, score) for left, right in sorted(known, key=lambda m: (vocab[m[0]], vocab[m[1]]))]
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [(left, right) for left, right, _ in merges]


def char_ends(text, encoding, byte_ids):
    """Ends by the library's character offsets; the bytes of one character end one after the other."""
    ends = []
    for id, (start, offset) in zip(encoding.ids, encoding.offsets):
        end = len(text[:offset].encode())
        if id in byte_ids:
            before = ends[-1] if ends else 0
            assert len(text[:start].encode()) <= before < end, (text, id)
            end = before + 1
        ends.append(end)
    assert (ends[-1] if ends else 0) == len(text.encode())
    return ends


def random_texts(rng, count):
    pieces = [text for text in WRITTEN if 0 < len(text) <= 12]
    return ["".join(rng.choice(pieces) for _ in range(rng.randint(2, 7))) for _ in range(count)]


def main(smol_path, gemma_path, wikitext_path, reference_path):
    rng = random.Random(SEED)
    with open(wikitext_path, encoding="utf-8") as file:
        lines = [line[:140].rstrip("\n") for line in file if len(line) > 60]
    with open(reference_path, encoding="utf-8") as file:
        prompts = json.load(file)["prompts"]
    texts = list(dict.fromkeys(WRITTEN + [prompt["prompt"] for prompt in prompts] + lines[:: len(lines) // 60][:60] + random_texts(rng, 120)))
    tokenizers = {"smollm2": smollm2(metadata(smol_path)), "gemma3": gemma3(metadata(gemma_path))}
    for prompt in prompts:
        for name, (tokenizer, _) in tokenizers.items():
            ids = tokenizer.encode(prompt["prompt"], add_special_tokens=False).ids
            # The reference reads Gemma's runs of spaces as single ones, which no Gemma tokenizer does.
            assert ids == prompt[MODELS[name]]["token_ids"][1:] or (name == "gemma3" and "  " in prompt["prompt"])
    rows = []
    for text in texts:
        row = {"text": text}
        for name, (tokenizer, ends) in tokenizers.items():
            encoding = tokenizer.encode(text, add_special_tokens=False)
            row[name] = {"ids": encoding.ids, "ends": ends(text, encoding)}
        rows.append(row)
    print("[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "]")


main(*sys.argv[1:])
