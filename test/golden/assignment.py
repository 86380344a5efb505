"""Arms of units by weighted rendezvous hashing over sha256, with the standard library alone: python3 assignment.py > assignment.json"""
import hashlib, json, math

def arm(salt, unit, arms):
    def score(name, weight):
        digest = hashlib.sha256(json.dumps([salt, unit, name], separators=(",", ":"), ensure_ascii=False).encode()).digest()
        u = ((int.from_bytes(digest[:8], "big") >> 12) + 0.5) / 2**52
        return -math.log(u) / weight
    return min(arms, key=lambda one: score(*one))[0]

arms = [("ensemble", 1), ("member", 2), ("other", 0.5)]
units = [f"user-{i}" for i in range(40)] + ["Grüße \"x\"", "日本", "😀"]
print(json.dumps({"salt": "Salz ß", "arms": [{"name": n, "weight": w} for n, w in arms],
                  "units": [{"unit": u, "arm": arm("Salz ß", u, arms)} for u in units]}, indent=1, ensure_ascii=False))
