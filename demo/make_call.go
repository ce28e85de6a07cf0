package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// portBefore is the one before the first call's, below those that the kernel gives.
const portBefore = 20000

// curlFormat has curl say, after the body, what it knows of the connection.
// Request and header sizes are bytes on the wire.
const curlFormat = "%{local_ip} %{local_port} %{size_request} %{size_header} %{size_download}"

// make opens the connection as an ordinary user of its host, and returns what
// the client's side reports. Each call has a port of its own: REDIRECT changes one
// that the client has or had for another destination, and the call would not be found
// in the log.
func (c call) make(w *world) (report, error) {
	w.calls++
	port := strconv.Itoa(portBefore + w.calls)
	user := c.from.As(userID, userID)
	if c.speaks == http11 {
		out, err := output(user.Command("curl", "--silent", "--show-error", "--fail", "--max-time", "10",
			"--local-port", port, "--write-out", curlFormat, "http://"+c.to+"/"))
		if err != nil {
			return report{}, err
		}
		return parseCurl(out)
	}
	cmd := user.Command(w.self, c.to, port)
	cmd.Env = append(os.Environ(), roleVar+"="+roleTalk)
	out, err := output(cmd)
	if err != nil {
		return report{}, err
	}
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return report{}, fmt.Errorf("report %q: %w", out, err)
	}
	return r, nil
}

// parseCurl reads a JSON answer and a line of curlFormat.
func parseCurl(out string) (report, error) {
	body, facts, _ := strings.Cut(out, "\n")
	var r report
	if err := json.Unmarshal([]byte(body), &r.Answer); err != nil {
		return report{}, fmt.Errorf("answer %q: %w", body, err)
	}
	var ip, port string
	var header, download int64
	if _, err := fmt.Sscan(facts, &ip, &port, &r.Sent, &header, &download); err != nil {
		return report{}, fmt.Errorf("curl's facts %q: %w", facts, err)
	}
	r.Local = net.JoinHostPort(ip, port)
	r.Received = header + download
	return r, nil
}

func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
