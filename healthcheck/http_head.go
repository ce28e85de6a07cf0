package healthcheck

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// The headers by which an endpoint says more than a status (Envoy's HTTP health
// checking). Their presence counts, not their value.
const (
	degradedHeader = "x-envoy-degraded"
	failNowHeader  = "x-envoy-immediate-health-check-fail"
)

var (
	errStatusLine = errors.New("the answer has no valid status line")
	errHeader     = errors.New("the answer has a header that is not valid")
	errLength     = errors.New("the answer's Content-Length is not valid")
)

// head is what a check wants to know of a status line and headers.
type head struct {
	status   int
	length   int // of the body; -1 when it is not given, or too large to count
	closes   bool
	degraded bool
	failsNow bool
}

// mayBeHTTP tells answers of another protocol from their first bytes.
func mayBeHTTP(data []byte) bool {
	const version = "HTTP/1."
	n := min(len(data), len(version))
	return string(data[:n]) == version[:n]
}

// headEnd is the length of the head that data begins with, and 0 while it has
// no end. The first scanned bytes are known to have none. A line may end
// without CR (RFC 9112, section 2.2).
func headEnd(data []byte, scanned int) int {
	for at := max(0, scanned-2); ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
		switch rest := data[at:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return at + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return at + 2
		}
	}
}

// parseHead reads a head with its end.
func parseHead(data []byte) (head, error) {
	line, rest := cutLine(data)
	h := head{length: -1}
	if len(line) < len("HTTP/1.1 200") || !mayBeHTTP(line) || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return h, errStatusLine
	}
	status, err := strconv.ParseUint(string(line[9:12]), 10, 16)
	if err != nil || status < 100 || line[7] != '0' && line[7] != '1' {
		return h, errStatusLine
	}
	h.status, h.closes = int(status), line[7] == '0'
	chunked := false
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return h, errHeader
		}
		key := strings.ToLower(string(name))
		chunked = chunked || key == "transfer-encoding"
		if err := h.add(key, string(bytes.Trim(value, " \t"))); err != nil {
			return h, err
		}
	}
	if chunked {
		h.length = -1
	}
	return h, nil
}

func cutLine(data []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(data, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

func (h *head) add(name, value string) error {
	switch name {
	case degradedHeader:
		h.degraded = true
	case failNowHeader:
		h.failsNow = true
	case "connection":
		for token := range strings.SplitSeq(strings.ToLower(value), ",") {
			h.closes = h.closes || strings.Trim(token, " \t") == "close"
		}
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || value[0] == '+' || h.length >= 0 && uint64(h.length) != n {
			return errLength
		}
		h.length = int(n)
	}
	return nil
}
