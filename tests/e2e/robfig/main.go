// Answers, a line for each line, when a schedule comes: "zone TAB unix seconds TAB schedule" gives the next four
// moments as Unix seconds, "-" where there is none any more, or "refused". For the tests alone.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const moments = 4

func main() {
	lines := bufio.NewScanner(os.Stdin)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	for lines.Scan() {
		fmt.Fprintln(answers, answer(lines.Text()))
	}
}

func answer(line string) string {
	parts := strings.SplitN(line, "\t", 3)
	schedule, err := cron.ParseStandard(parts[2])
	if err != nil {
		return "refused"
	}
	zone, err := time.LoadLocation(parts[0])
	if err != nil {
		return "no zone"
	}
	seconds, _ := strconv.ParseInt(parts[1], 10, 64)
	moment := time.Unix(seconds, 0).In(zone)
	found := []string{}
	for len(found) < moments {
		if moment = schedule.Next(moment); moment.IsZero() {
			found = append(found, "-")
			break
		}
		found = append(found, strconv.FormatInt(moment.Unix(), 10))
	}
	return strings.Join(found, " ")
}
