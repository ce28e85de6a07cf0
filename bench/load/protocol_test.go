package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// protocolKinds are the loads that every protocol can have.
func protocolKinds(p bench.Protocol) []bench.Load {
	loads := []bench.Load{
		{Kind: bench.Requests, Connections: 3},
		{Kind: bench.Requests, Connections: 3, Rate: 500},
		{Kind: bench.Connections, Connections: 3, Ending: bench.FIN},
		{Kind: bench.Connections, Connections: 3, Ending: bench.RST},
		{Kind: bench.Idle, Connections: 10},
	}
	for i := range loads {
		loads[i].Protocol, loads[i].Size, loads[i].Duration = p, 1, short
		if loads[i].Kind != bench.Idle {
			loads[i].Most, loads[i].Duration = 50, time.Minute // in a short time nothing may happen
		}
	}
	return loads
}

func wantLoaded(t *testing.T, m *bench.Measure) {
	t.Helper()
	wantNoErrors(t, m)
	if m.Answers == 0 && m.Load.Kind != bench.Idle || m.Load.Kind == bench.Idle && m.Opened != 10 {
		t.Errorf("%s: %d answers, %d opened", m.Load.Kind, m.Answers, m.Opened)
	}
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", 612))
	}))
	defer s.Close()
	target := s.Listener.Addr().(*net.TCPAddr).AddrPort()
	for _, l := range protocolKinds(bench.HTTP) {
		m := mustRun(t, target, l, Options{})
		wantLoaded(t, m)
		if l.Kind == bench.Requests && m.BytesDown <= 612*m.Answers {
			t.Errorf("%d bytes down for %d answers", m.BytesDown, m.Answers)
		}
	}
}

// TestHTTPOtherResponse has the server answer differently after a while.
func TestHTTPOtherResponse(t *testing.T) {
	for name, other := range map[string]http.HandlerFunc{
		"longer": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "long") },
		"status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); io.WriteString(w, "") },
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) > 20 {
					other(w, r)
					return
				}
				io.WriteString(w, "x")
			}))
			defer s.Close()
			l := bench.Load{Kind: bench.Requests, Protocol: bench.HTTP, Connections: 2, Size: 1, Duration: time.Minute}
			m := mustRun(t, s.Listener.Addr().(*net.TCPAddr).AddrPort(), l, Options{patience: impatient})
			if m.Errors["wrong bytes"] == 0 {
				t.Errorf("errors %v, want wrong bytes", m.Errors)
			}
		})
	}
}

func TestParseHTTP(t *testing.T) {
	for _, tc := range []struct{ name, response, want string }{
		{"fine", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ""},
		{"not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length"},
		{"closes", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "keep connections alive"},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseHTTP(strings.NewReader(tc.response))
			if tc.want == "" {
				if err != nil || got.size != len(tc.response) {
					t.Errorf("got %d, %v; want %d", got.size, err, len(tc.response))
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRedis(t *testing.T) {
	target := script(t, func(c *net.TCPConn) {
		defer c.Close()
		request := make([]byte, len("PING\r\n"))
		for {
			if _, err := readFull(c, request); err != nil || string(request) != "PING\r\n" {
				return
			}
			if _, err := io.WriteString(c, "+PONG\r\n"); err != nil {
				return
			}
		}
	})
	for _, l := range protocolKinds(bench.Redis) {
		wantLoaded(t, mustRun(t, target, l, Options{}))
	}
}

func TestHTTPNobodyThere(t *testing.T) {
	target := script(t, func(c *net.TCPConn) { c.Close() })
	l := bench.Load{Kind: bench.Requests, Protocol: bench.HTTP, Connections: 2, Size: 1, Duration: short}
	if _, err := Run(context.Background(), target, l, Options{patience: impatient}); err == nil {
		t.Error("a server that hangs up has been learnt from")
	}
}
