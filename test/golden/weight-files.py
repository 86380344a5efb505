"""Reference reading of the two weight files for test/weights/weight-files.test.ts by gguf-py.

python test/golden/weight-files.py SMOLLM2.gguf GEMMA.gguf > test/golden/weight-files.json
Made with gguf 0.19.0, numpy 2.4.6. Hashes are sha256 of the values as little-endian float32, row-major.
"""

import hashlib
import json
import sys
from collections import Counter

import gguf
import numpy as np

TENSORS = [
    ["output_norm.weight", "blk.0.attn_q.weight", "blk.29.ffn_down.weight"],
    ["output_norm.weight", "blk.0.attn_q.weight", "blk.1.attn_v.weight", "blk.0.ffn_down.weight", "blk.2.ffn_down.weight"],
]
SCALARS = [
    ["llama.block_count", "llama.attention.layer_norm_rms_epsilon", "tokenizer.ggml.eos_token_id"],
    ["gemma3.block_count", "gemma3.attention.sliding_window", "gemma3.rope.freq_base"],
]
# First row, number of rows: a slice of the embedding table, which is a Q8_0 matrix in both files.
SLICE = [40_000, 3]


def sha256(values):
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest()


def strings(field):
    return [bytes(field.parts[i]).decode() for i in field.data]


def read(path, names, scalars):
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    out = {"types": Counter(tensor.tensor_type.name for tensor in reader.tensors)}
    out["scalars"] = {key: float(reader.fields[key].contents()) for key in scalars}
    tokens = strings(reader.fields["tokenizer.ggml.tokens"])
    out["tokens"] = {"count": len(tokens), "sha256": hashlib.sha256("\n".join(tokens).encode()).hexdigest()}
    out["tensors"] = {}
    for name in names:
        tensor = tensors[name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        shape = [int(extent) for extent in values.shape]
        out["tensors"][name] = {"type": tensor.tensor_type.name, "shape": shape, "sha256": sha256(values)}
    embedding = tensors["token_embd.weight"]
    first, count = SLICE
    rows = gguf.quants.dequantize(embedding.data[first : first + count], embedding.tensor_type)
    out["embedding"] = {"first": first, "count": count, "sha256": sha256(rows)}
    return out


ids = ["smollm2-135m-instruct", "gemma-3-270m"]
files = zip(ids, sys.argv[1:3], TENSORS, SCALARS, strict=True)
print(json.dumps({id: read(path, names, scalars) for id, path, names, scalars in files}, indent=1))
