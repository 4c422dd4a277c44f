#!/usr/bin/env bash
# robfig/cron v3.0.1, by which Argo Workflows and Kubernetes run their schedules, leaves a whole year out where clocks
# once changed at midnight of the first of a month.
#
# Guess: `@yearly` in Africa/Cairo comes on every 1 January.
# Seen: after 2014-01-01 comes 2016-01-01. Clocks went forward at 0:00 on 1 August 2014, so that midnight was not on the
# wall; `Next` walks from first to first of a month, stumbles there, arrives in January on a later day or hour, and goes
# round once more. In Europe/Berlin, where clocks change at 2:00, no year is missing.
# Needs Go.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'END'
module ask
go 1.22
require github.com/robfig/cron/v3 v3.0.1
END
cat >main.go <<'END'
package main

import (
	"fmt"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

func main() {
	for _, name := range []string{"Africa/Cairo", "Europe/Berlin"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			panic(err)
		}
		schedule, err := cron.ParseStandard("@yearly")
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s:", name)
		moment := time.Date(2013, 7, 11, 0, 0, 0, 0, zone)
		for range 3 {
			moment = schedule.Next(moment)
			fmt.Printf(" %s", moment.Format("2006-01-02"))
		}
		fmt.Println()
	}
}
END
go mod tidy >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
wanted='Africa/Cairo: 2014-01-01 2016-01-01 2017-01-01
Europe/Berlin: 2014-01-01 2015-01-01 2016-01-01'
[ "$seen" = "$wanted" ] || { echo 'this has changed' >&2; exit 1; }
