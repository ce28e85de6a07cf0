package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// logLine is a line of the sidecar's access log, as far as the demo reads it.
type logLine struct {
	Listener              string  `json:"listener"`
	Direction             string  `json:"direction"`
	FilterChain           string  `json:"filter_chain"`
	DownstreamRemote      string  `json:"downstream_remote_address"`
	DownstreamLocal       string  `json:"downstream_local_address"`
	Cluster               string  `json:"upstream_cluster"`
	UpstreamHost          string  `json:"upstream_host"`
	UpstreamLocal         string  `json:"upstream_local_address"`
	BytesReceived         int64   `json:"bytes_received"`
	BytesSent             int64   `json:"bytes_sent"`
	DurationMS            float64 `json:"duration_ms"`
	ResponseFlags         string  `json:"response_flags"`
	ClosedBy              string  `json:"closed_by"`
	CloseReason           string  `json:"close_reason"`
	UpstreamFailureReason string  `json:"upstream_transport_failure_reason"`
}

// parseLog reads the text of an access log. A last line that is still being
// written is left out.
func parseLog(text string) ([]logLine, error) {
	var lines []logLine
	for raw := range strings.Lines(text) {
		if !strings.HasSuffix(raw, "\n") {
			break
		}
		var line logLine
		if err := json.Unmarshal([]byte(raw), &line); err != nil {
			return nil, fmt.Errorf("access log line %q: %w", raw, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// readLog reads the sidecar's access log; one that is not there yet is empty.
func readLog(path string) ([]logLine, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLog(string(text))
}

// from returns the line of the connection that this client opened to this
// original destination. Both are needed: the sidecar's own connection to the
// pod may have a port that another client has too.
func from(lines []logLine, client, originalDst string) *logLine {
	for i := range lines {
		if lines[i].DownstreamRemote == client && lines[i].DownstreamLocal == originalDst {
			return &lines[i]
		}
	}
	return nil
}
