package main

import (
	"fmt"
	"net"
	"slices"
)

// result is a call that was made, with what both sides and the sidecar say.
type result struct {
	call   call
	report report
	lines  []*logLine // one for each leg; nil until it is in the log
}

// join finds the legs' lines in the log. The first leg is known by the
// client's address, each further one by the address from which the sidecar
// dialled it. It returns an error as long as one is missing.
func (r *result) join(log []logLine) error {
	r.lines = make([]*logLine, len(r.call.legs))
	client := r.report.Local
	for i, leg := range r.call.legs {
		line := from(log, client, leg.to)
		if line == nil {
			return fmt.Errorf("the access log has no line of %s to %s (%s)", client, leg.to, leg.direction)
		}
		r.lines[i], client = line, line.UpstreamLocal
	}
	return nil
}

// problems lists what is not as it must be. The log must be complete.
func (r *result) problems(log []logLine) []string {
	var wrong []string
	note := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s to %s: %s is %v, want %v", r.call.from, r.call.to, what, got, want))
		}
	}
	source, _, err := net.SplitHostPort(r.report.Answer.Source)
	note("error of the source address that the application saw", err, error(nil))
	note("source address that the application saw", source, r.call.source)
	if len(r.call.legs) == 0 && from(log, r.report.Local, r.call.to) != nil {
		note("captured", true, false)
	}
	for i, leg := range r.call.legs {
		line := r.lines[i]
		note("direction", line.Direction, leg.direction)
		note("listener", line.Listener, leg.listener)
		note("filter chain", line.FilterChain, leg.chain)
		note("cluster", line.Cluster, leg.cluster)
		note("endpoint "+line.UpstreamHost+" is one of the cluster's", slices.Contains(leg.endpoints, line.UpstreamHost), true)
		note("bytes received", line.BytesReceived, r.report.Sent)
		note("bytes sent", line.BytesSent, r.report.Received)
		note("close reason", line.CloseReason, "fin")
		if line.ResponseFlags != "-" {
			note("response flags", line.ResponseFlags, "")
		}
	}
	return wrong
}

// shares counts the connections of a cluster by endpoint.
func shares(results []*result, cluster string) map[string]int {
	count := make(map[string]int)
	for _, r := range results {
		for _, line := range r.lines {
			if line != nil && line.Cluster == cluster {
				count[line.UpstreamHost]++
			}
		}
	}
	return count
}
