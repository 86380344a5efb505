"""
Sentence vectors and layer states of the three encoders from the exported files themselves, by the reference runtime:

  pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tokenizers==0.23.3
  concord models pull
  python test/golden/sentence-encoders.py MODELS_FOLDER

Writes sentence-encoders.json. No randomness. Layer states come from the graph's own tensors by name, not from counting
normalisations, which is what the test checks.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tokenizers import Tokenizer

TEXTS = [
    "The harbour froze in the year the lighthouse was built.",
    "Granite.",
    "Café NAÏVE — “quotes”, 東京 and e-mail@example.org?",
]
ENCODERS = {
    "all-minilm-l6-v2": {"pooling": "mean", "prefix": ""},
    "bge-small-en-v1.5": {"pooling": "first", "prefix": ""},
    "e5-small-v2": {"pooling": "mean", "prefix": "query: "},
}
SHOWN = 8


def residual_names(model):
    """Layer l's state is the result of encoder.layer.(l-1).output.LayerNorm; layer 0's of embeddings.LayerNorm."""
    last = {}
    for node in model.graph.node:
        if node.op_type == "Add" and "/LayerNorm/" in node.name and any("bias" in name for name in node.input):
            place = node.name.split("/LayerNorm/")[0].lstrip("/")
            last[place] = node.output[0]
    layers = [last["embeddings"]]
    while f"encoder/layer.{len(layers) - 1}/output" in last:
        layers.append(last[f"encoder/layer.{len(layers) - 1}/output"])
    return layers


def main(models):
    golden = {"texts": TEXTS, "encoders": {}}
    for name, recipe in ENCODERS.items():
        model = onnx.load(models / name / f"{name}.onnx")
        names = residual_names(model)
        known = {output.name for output in model.graph.output}
        for tensor in names:
            if tensor not in known:
                model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(models / name / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        rows = []
        for text in TEXTS:
            ids = np.array([tokenizer.encode(recipe["prefix"] + text).ids], dtype=np.int64)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            states = [array[0] for array in session.run(names, feeds)]
            pooled = [s.mean(0) if recipe["pooling"] == "mean" else s[0] for s in states]
            rows.append(
                {
                    "ids": ids[0].tolist(),
                    "first": [np.round(p[:SHOWN].astype(float), 5).tolist() for p in pooled],
                    "norms": [round(float(np.linalg.norm(p)), 5) for p in pooled],
                }
            )
        golden["encoders"][name] = {"layers": len(names) - 1, **recipe, "rows": rows}
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(golden, separators=(",", ":"), ensure_ascii=False) + "\n")


main(Path(sys.argv[1]))
