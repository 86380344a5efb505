"""A delivery of src/watch/webhook.ts, signed with standardwebhooks 1.1.0 on Python 3.11.

Run from this folder: python3 webhook.py
"""

import json
from base64 import b64encode
from datetime import datetime, timezone
from pathlib import Path

from standardwebhooks.webhooks import Webhook

SECONDS = 1_750_000_000
SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
ID = "alert-1"

body = json.dumps(
    {
        "type": "concord.alert",
        "timestamp": "2025-06-15T15:06:40.000Z",
        "data": {
            "signal": "weight_share",
            "member": "größer – 🙂",
            "direction": "down",
            "value": 0.25,
            "reference": 0.5,
            "false_alarm_rate": 0.001,
        },
    },
    separators=(",", ":"),
    ensure_ascii=False,
)
signature = Webhook(SECRET).sign(ID, datetime.fromtimestamp(SECONDS, timezone.utc), body)
golden = {"secret": SECRET, "id": ID, "seconds": SECONDS, "body": body, "signature": signature}
Path("webhook.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")
