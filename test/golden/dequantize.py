"""Reference blocks for test/weights/dequantize.test.ts: bytes and their float32 values by gguf-py.

python test/golden/dequantize.py > test/golden/dequantize.json
Made with gguf 0.19.0, numpy 2.4.6, seed 20250101. Values are little-endian float32. Both fields are base64.
"""

import base64
import json

import gguf
import numpy as np

SEED = 20250101
QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
BLOCKS = {"Q8_0": 24, "Q4_0": 24, "Q4_1": 24, "Q5_0": 24, "Q5_1": 24, "Q4_K": 12, "Q5_K": 12, "Q6_K": 12}
# Byte offsets of the halves of a block.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
# Smallest and largest subnormal of either sign, smallest normal, largest normal, both zeros.
EDGES = [0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x7BFF, 0xFBFF, 0x0000, 0x8000]


def finite_halves(rng, count):
    bits = rng.integers(0, 2**16, count, dtype=np.uint16)
    return np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits).astype(np.uint16)


def random_blocks(rng, name):
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    count = BLOCKS[name]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = finite_halves(rng, count)
        halves[: len(EDGES)] = rng.permutation(EDGES)
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(count, 2)
    return blocks


def plain_bytes(rng, name):
    if name == "F16":
        halves = np.concatenate([finite_halves(rng, 500), np.array([*EDGES, 0x7C00, 0xFC00], dtype=np.uint16)])
        return halves.view(np.uint8).reshape(1, -1)
    words = rng.integers(0, 2**32, 500, dtype=np.uint32)
    words = np.where((words & 0x7F800000) == 0x7F800000, words & 0x807FFFFF, words).astype(np.uint32)
    if name == "F32":
        return words.view(np.uint8).reshape(1, -1)
    return (words >> 16).astype(np.uint16).view(np.uint8).reshape(1, -1)


def encode(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


rng = np.random.default_rng(SEED)
cases = {}
for name in ["F32", "F16", "BF16", *QUANTISED]:
    data = random_blocks(rng, name) if name in QUANTISED else plain_bytes(rng, name)
    values = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name]).astype("<f4")
    assert not np.isnan(values).any()
    cases[name] = {"bytes": encode(data), "values": encode(values)}
print(json.dumps(cases, indent=1))
