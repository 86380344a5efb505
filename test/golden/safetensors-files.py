"""Reference files for test/weights/safetensors.test.ts and float16.test.ts.

python test/golden/safetensors-files.py > test/golden/safetensors-files.json
Made with safetensors 0.8.0, numpy 2.4.6, seed 20250102. Bytes are base64, little-endian.
"""

import base64
import hashlib
import json

import numpy as np
from safetensors.numpy import save

rng = np.random.default_rng(20250102)


def encode(data):
    return base64.b64encode(data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()).decode()


def random_floats(count):
    """Float32 over the halves' range and beyond it on both sides, ties and their neighbours among them."""
    spread = (rng.standard_normal(count) * np.exp2(rng.uniform(-30, 18, count))).astype(np.float32)
    halves = rng.integers(0, 0x7BFF, count, dtype=np.uint16)
    low = halves.view(np.float16).astype(np.float32)
    high = (halves + np.uint16(1)).view(np.float16).astype(np.float32)
    ties = (low + high) / np.float32(2)
    edges = np.array([0, -0.0, 65504, 65519.996, 65520, 65536, np.inf, -np.inf, 2.0**-24, 2.0**-25, 2.0**-26, 1e-45], dtype=np.float32)
    return np.concatenate([spread, ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf)), edges])


halves = np.arange(2**16, dtype=np.uint16)
halves = halves[(halves & 0x7C00) != 0x7C00]
with np.errstate(over="ignore"):
    floats = random_floats(1000)
    rounded = floats.astype(np.float16)

tensors = {
    "basis": rng.standard_normal((3, 5)).astype(np.float32),
    "Größe": rng.standard_normal((2, 1, 3)).astype(np.float16),
    "tokens": rng.integers(-(2**31), 2**31 - 1, 7, dtype=np.int32),
    "a half": rng.standard_normal(3).astype(np.float16),
    "scalar": np.array(-1.5, dtype=np.float32),
    "empty": np.zeros((0, 4), dtype=np.float32),
    "eight bits": np.array([[-128, -1, 0], [1, 64, 127]], dtype=np.int8),
}
metadata = {"note": 'one "quoted" line\nand ünïcode'}
out = {
    "file": encode(save(tensors, metadata)),
    "bare": encode(save({"x": np.array([1.0, 2.0], dtype=np.float32)})),
    "metadata": metadata,
    "tensors": {name: {"shape": list(value.shape), "bytes": encode(value)} for name, value in tensors.items()},
    "finiteHalvesSha256": hashlib.sha256(halves.view(np.float16).astype("<f4").tobytes()).hexdigest(),
    "floats": encode(floats),
    "halves": encode(rounded),
}
print(json.dumps(out, indent=1))
