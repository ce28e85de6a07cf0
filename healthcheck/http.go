package healthcheck

import (
	"fmt"

	"strings"
)

const (
	maxHead = 16 << 10 // bytes of status line and headers
	maxBody = 64 << 10 // bytes of a body that is read; after a longer one the connection is closed
	maxInfo = 16       // heads of status 1xx before the one that counts
)

// Statuses with a meaning of their own here (RFC 9110, section 15).
const (
	statusSwitching   = 101
	statusOK          = 200
	statusNoContent   = 204
	statusNotModified = 304
)

// httpExchange is HTTP/1.1, one request after the other. The answer ends where
// its headers say so; where they do not, or far away, nothing after the headers
// is read.
type httpExchange struct {
	check *check
	host  string

	over    bool // no answer is awaited
	inBody  bool
	info    uint8
	scanned int // bytes of the head without an end
	body    int // bytes that are still to come
	verdict result
}

func (e *httpExchange) begin(out []byte) []byte {
	*e = httpExchange{check: e.check, host: e.host}
	h := &e.check.config.HTTP
	out = append(out, h.Method+" "+h.Path+" HTTP/1.1\r\nHost: "+e.host+"\r\n"...)
	agent := "User-Agent: sluice/HC\r\n"
	for _, header := range h.Headers {
		out = append(out, header.Name+": "+header.Value+"\r\n"...)
		if strings.EqualFold(header.Name, "user-agent") {
			agent = ""
		}
	}
	out = append(out, agent...)
	switch h.Method { // RFC 9110, section 8.6
	case "POST", "PUT", "PATCH":
		out = append(out, "Content-Length: 0\r\n"...)
	}
	if !e.check.config.ReuseConnection {
		out = append(out, "Connection: close\r\n"...)
	}
	return append(out, "\r\n"...)
}

func (e *httpExchange) take(data []byte) (used int, r result) {
	if e.over {
		return len(data), failed(Network, "bytes came that nobody had asked for")
	}
	for !e.inBody {
		n, r := e.takeHead(data[used:])
		used += n
		if n == 0 || r.done {
			return used, r
		}
	}
	n := min(e.body, len(data)-used)
	used += n
	e.body -= n
	if e.body > 0 {
		return used, result{}
	}
	e.over = true
	e.verdict.reuse = e.verdict.reuse && used == len(data)
	return used, e.verdict
}

// takeHead uses a whole head, or nothing.
func (e *httpExchange) takeHead(data []byte) (used int, r result) {
	if !mayBeHTTP(data) {
		return 0, failed(Network, "the answer is not HTTP/1")
	}
	end := headEnd(data, e.scanned)
	if end > maxHead || end == 0 && len(data) > maxHead {
		return 0, failed(Network, fmt.Sprintf("the headers are longer than %d bytes", maxHead))
	}
	if end == 0 {
		e.scanned = len(data)
		return 0, result{}
	}
	e.scanned = 0
	h, err := parseHead(data[:end])
	if err != nil {
		return end, failed(Network, err.Error())
	}
	if h.status < statusOK && h.status != statusSwitching {
		if e.info++; e.info > maxInfo {
			return end, failed(Network, fmt.Sprintf("more than %d interim answers", maxInfo))
		}
		return end, result{}
	}
	return end, e.judge(&h)
}

// judge makes the verdict, which counts when the body has come.
func (e *httpExchange) judge(h *head) result {
	e.inBody = true
	e.verdict = result{done: true, degraded: h.degraded, reuse: !h.closes}
	switch {
	case h.failsNow:
		e.verdict.failure, e.verdict.reason = Passive, "the answer has "+failNowHeader
	case !e.check.expects(h.status):
		e.verdict.failure, e.verdict.reason = Active, fmt.Sprintf("HTTP status %d", h.status)
	}
	switch {
	case e.check.config.HTTP.Method == "HEAD", h.status == statusNoContent, h.status == statusNotModified:
		return result{}
	case h.length >= 0 && h.length <= maxBody:
		e.body = h.length
		return result{}
	}
	e.over, e.verdict.reuse = true, false
	return e.verdict
}

func (e *httpExchange) ended() result {
	return failed(Network, "the connection was closed before the whole answer had come")
}
