#!/usr/bin/env bash
# One line of cron, three well-kept libraries, three sets of days.
#
# Guess: where both the day of the month and the day of the week are restricted, they are alternatives (POSIX), and a
# field that begins with a star restricts nothing. So `0 0 */2 * MON` and `0 0 */1 * MON` mean the same everywhere.
# Seen, for November 2026 from the 1st at 0:00:
#   robfig/cron v3.0.1 (Argo Workflows, Kubernetes)  */2: odd days and Mondays    */1: Mondays
#   cronsim 2.7 (Debian's rules)                     */2: Mondays on odd days     */1: Mondays
#   croniter 6.0.0                                   */2: odd days and Mondays    */1: every day
# So a line that is copied from a CronWorkflow into a tool written in Python may open on other days.
# Needs Go and Python 3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check cronsim==2.7 croniter==6.0.0
cat >go.mod <<'END'
module ask
go 1.22
require github.com/robfig/cron/v3 v3.0.1
END
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

func main() {
	for _, line := range os.Args[1:] {
		schedule, err := cron.ParseStandard(line)
		if err != nil {
			panic(err)
		}
		fmt.Printf("robfig   %s:", line)
		moment := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		for range 5 {
			moment = schedule.Next(moment)
			fmt.Printf(" %d", moment.Day())
		}
		fmt.Println()
	}
}
END
go mod tidy >/dev/null 2>&1
cat >ask.py <<'END'
import sys
from datetime import datetime, timezone

from croniter import croniter
from cronsim import CronSim

start = datetime(2026, 11, 1, tzinfo=timezone.utc)
for line in sys.argv[1:]:
    walk = CronSim(line, start)
    print(f"cronsim  {line}:", *(next(walk).day for _ in range(5)))
    other = croniter(line, start)
    print(f"croniter {line}:", *(other.get_next(datetime).day for _ in range(5)))
END
lines=('0 0 */2 * MON' '0 0 */1 * MON')
seen=$(go run . "${lines[@]}"; venv/bin/python ask.py "${lines[@]}")
echo "$seen"
wanted='robfig   0 0 */2 * MON: 2 3 5 7 9
robfig   0 0 */1 * MON: 2 9 16 23 30
cronsim  0 0 */2 * MON: 9 23 7 21 11
croniter 0 0 */2 * MON: 2 3 5 7 9
cronsim  0 0 */1 * MON: 2 9 16 23 30
croniter 0 0 */1 * MON: 2 3 4 5 6'
[ "$seen" = "$wanted" ] || { echo 'this has changed' >&2; exit 1; }
