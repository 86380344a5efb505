"""Float32 forward passes for test/node/member-parity.test.ts: final hidden states and next-token losses.

python test/golden/member-forward.py SMOLLM2.gguf GEMMA3.gguf WIKITEXT.txt forward-reference.json > test/golden/member-forward.json
Made with gguf 0.19.0, numpy 2.4.6, tokenizers 0.23.3. No randomness. WIKITEXT.txt is the WikiText-2 validation split
(Merity et al. 2016, CC BY-SA 3.0); the passages are in the output as token ids. Prompts come from
forward-reference.json. Hidden states are base64 of little-endian float16.

An implementation of its own: weights dequantised by gguf-py, everything else in numpy and float32.
"""

import base64
import heapq
import json
import re
import sys

import gguf
import numpy as np
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

PASSAGES = 20
PASSAGE_TOKENS = 64
# Longer than Gemma's window of 512.
LONG_TOKENS = 700
LOCAL_ROPE_BASE = 1e4
LAYERS_PER_GLOBAL = 6


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * weight


def rotate(x, base, interleaved):
    """x (t, heads, head): pairs of each head turned by position times base^(-2i / head)."""
    t, _, size = x.shape
    angle = (np.arange(t)[:, None] * base ** (-np.arange(0, size, 2) / size))[:, None, :]
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., : size // 2], x[..., size // 2 :])
    turned = a * cos - b * sin, a * sin + b * cos
    return np.stack(turned, -1).reshape(x.shape) if interleaved else np.concatenate(turned, -1)


def attend(q, k, v, window):
    """q (t, heads, head), k and v (t, kv heads, head) -> (t, heads * head)."""
    t, heads, size = q.shape
    group = heads // k.shape[1]
    back = np.arange(t)[:, None] - np.arange(t)
    seen = (back >= 0) & (back < (window or t))
    out = np.empty_like(q)
    for head in range(heads):
        scores = q[:, head] @ k[:, head // group].T * np.float32(size**-0.5)
        scores = np.where(seen, scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, head] = p / p.sum(-1, keepdims=True) @ v[:, head // group]
    return out.reshape(t, -1)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)))


class Model:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.fields = reader.fields
        self.weights = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
        self.family = self.read("general.architecture")
        self.layers = self.size("block_count")
        self.heads = self.size("attention.head_count")
        self.kv_heads = self.size("attention.head_count_kv")
        self.eps = self.size("attention.layer_norm_rms_epsilon")
        self.base = self.size("rope.freq_base")
        self.gemma = self.family == "gemma3"

    def read(self, key):
        return self.fields[key].contents()

    def size(self, key):
        return self.read(f"{self.family}.{key}")

    def block(self, layer, x):
        def weight(name):
            return self.weights[f"blk.{layer}.{name}.weight"]

        def split(y, heads):
            return y.reshape(len(y), heads, -1)

        h = rms_norm(x, weight("attn_norm"), self.eps)
        q = split(h @ weight("attn_q").T, self.heads)
        k = split(h @ weight("attn_k").T, self.kv_heads)
        v = split(h @ weight("attn_v").T, self.kv_heads)
        base, window = self.base, None
        if self.gemma:
            q = rms_norm(q, weight("attn_q_norm"), self.eps)
            k = rms_norm(k, weight("attn_k_norm"), self.eps)
            if (layer + 1) % LAYERS_PER_GLOBAL:
                base, window = LOCAL_ROPE_BASE, self.size("attention.sliding_window")
        q, k = rotate(q, base, not self.gemma), rotate(k, base, not self.gemma)
        o = attend(q, k, v, window) @ weight("attn_output").T
        x = x + (rms_norm(o, weight("post_attention_norm"), self.eps) if self.gemma else o)
        h = rms_norm(x, weight("ffn_norm"), self.eps)
        act = gelu if self.gemma else silu
        o = (act(h @ weight("ffn_gate").T) * (h @ weight("ffn_up").T)) @ weight("ffn_down").T
        return x + (rms_norm(o, weight("post_ffw_norm"), self.eps) if self.gemma else o)

    def hidden(self, ids):
        x = self.weights["token_embd.weight"][ids]
        if self.gemma:
            x = x * np.float32(np.sqrt(x.shape[-1]))
        for layer in range(self.layers):
            x = self.block(layer, x)
        return rms_norm(x, self.weights["output_norm.weight"], self.eps)

    def log_probabilities(self, hidden):
        logits = hidden @ self.weights["token_embd.weight"].T
        top = logits.max(-1, keepdims=True)
        return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def byte_level_encoder(model):
    tokens = model.read("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in model.read("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens[:17]])
    return lambda text: tokenizer.encode(text).ids


def scored_encoder(model):
    """Sentencepiece's BPE: merge the neighbours whose union has the highest score, leftmost first."""
    vocabulary = {token: i for i, token in enumerate(model.read("tokenizer.ggml.tokens"))}
    scores = model.read("tokenizer.ggml.scores")

    def word(text):
        symbols = list(text)
        while True:
            pairs = [(-scores[vocabulary[a + b]], i) for i, (a, b) in enumerate(zip(symbols, symbols[1:])) if a + b in vocabulary]
            if not pairs:
                break
            _, i = heapq.nsmallest(1, pairs)[0]
            symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
        for symbol in symbols:
            known = symbol in vocabulary
            yield from [vocabulary[symbol]] if known else [vocabulary[f"<0x{byte:02X}>"] for byte in symbol.encode()]

    return lambda text: [i for piece in re.findall("▁*[^▁]+|▁+$", text.replace(" ", "▁")) for i in word(piece)]


def plain(line):
    """Undoes WikiText's tokenised form, up to the first word that it leaves out."""
    line = re.sub(r" @([-,.])@ ", r"\1", line.split("<unk>")[0].strip())
    line = re.sub(r" ([.,;:!?)\]%])", r"\1", line)
    return re.sub(r"([(\[]) ", r"\1", line)


def passages(path):
    lines = [plain(line) for line in open(path, encoding="utf8")]
    lines = [line for line in lines if len(line) >= 500]
    return lines[:: len(lines) // PASSAGES][:PASSAGES], " ".join(lines[:8])


def float16(values):
    return base64.b64encode(values.astype("<f2").tobytes()).decode()


def losses(model, ids):
    logp = model.log_probabilities(model.hidden(ids))
    return -logp[np.arange(len(ids) - 1), ids[1:]]


def golden(model, encode, start, prompts, texts, long_text):
    def prompt(ids):
        hidden = model.hidden(ids)[-1:]
        logp = model.log_probabilities(hidden)[0]
        first, second = np.argsort(-logp)[:2]
        return {
            "tokens": list(ids),
            "hidden": float16(hidden[0]),
            "top": int(first),
            "lead": round(float(logp[first] - logp[second]), 4),
        }

    def passage(text):
        ids = [start, *encode(text)][:PASSAGE_TOKENS]
        return {"tokens": ids, "nats": round(float(losses(model, ids).mean()), 5)}

    long_ids = [start, *encode(long_text)][:LONG_TOKENS]
    assert len(long_ids) == LONG_TOKENS
    return {
        "prompts": [prompt(ids) for ids in prompts],
        "long": prompt(long_ids),
        "passages": [passage(text) for text in texts],
    }


def main(smol_path, gemma_path, text_path, reference_path):
    texts, long_text = passages(text_path)
    reference = json.load(open(reference_path, encoding="utf8"))["prompts"]
    result = {"note": "Made by member-forward.py. Passages: WikiText-2 validation split, CC BY-SA 3.0."}
    for name, path, encoder, start in [
        ("smollm2-135m-instruct", smol_path, byte_level_encoder, 0),
        ("gemma-3-270m", gemma_path, scored_encoder, 2),
    ]:
        model = Model(path)
        prompts = [entry[name]["token_ids"] for entry in reference]
        result[name] = golden(model, encoder(model), start, prompts, texts, long_text)
    print(json.dumps(result, separators=(",", ":")))


main(*sys.argv[1:])
