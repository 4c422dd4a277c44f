#!/usr/bin/env bash
# croniter 6.0.0 is an hour late on the day after clocks went back.
#
# Guess: a schedule of `30 2 * * *` in Europe/Berlin comes at 2:30 on the wall on every day that has a 2:30.
# Seen: from noon of 24 October 2026 it gives 25 October 2:30, then 26 October 3:30 (not 2:30), then 27 October 2:30.
# Who asks for one run after the other is late once a year; who asks anew from the time of day is not.
# Needs Python 3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check croniter==6.0.0 tzdata==2025.2
seen=$(venv/bin/python - <<'END'
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter

berlin = ZoneInfo("Europe/Berlin")
walk = croniter("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=berlin))
print(*(walk.get_next(datetime).isoformat() for _ in range(3)), sep="\n")
print("asked anew:", croniter("30 2 * * *", datetime(2026, 10, 25, 12, tzinfo=berlin)).get_next(datetime).isoformat())
END
)
echo "$seen"
wanted='2026-10-25T02:30:00+02:00
2026-10-26T03:30:00+01:00
2026-10-27T02:30:00+01:00
asked anew: 2026-10-26T02:30:00+01:00'
[ "$seen" = "$wanted" ] || { echo 'this has changed' >&2; exit 1; }
