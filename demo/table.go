package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printTable prints a line for each passage through the sidecar, and one for
// each connection that passed it by.
func printTable(out io.Writer, results []*result) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row("DIRECTION", "FROM", "WANTED", "PROTOCOL", "LISTENER", "CHAIN", "CLUSTER", "ENDPOINT", "APPLICATION SAW", "IN", "OUT", "MS")
	row("---------", "----", "------", "--------", "--------", "-----", "-------", "--------", "---------------", "--", "---", "--")
	for _, r := range results {
		saw := r.report.Answer.Source
		if len(r.lines) == 0 {
			row("direct", r.call.from.String(), r.call.to, string(r.call.speaks), "-", "-", "-", "-", saw,
				fmt.Sprint(r.report.Sent), fmt.Sprint(r.report.Received), "-")
		}
		for i, line := range r.lines {
			who, seen := r.call.from.String(), saw
			if i > 0 {
				who = "sidecar"
			}
			if i < len(r.lines)-1 {
				seen = "(next line)"
			}
			row(line.Direction, who, line.DownstreamLocal, string(r.call.speaks), line.Listener, line.FilterChain,
				line.Cluster, line.UpstreamHost, seen,
				fmt.Sprint(line.BytesReceived), fmt.Sprint(line.BytesSent), fmt.Sprintf("%.0f", line.DurationMS))
		}
	}
	return t.Flush()
}
