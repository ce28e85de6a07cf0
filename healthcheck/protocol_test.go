package healthcheck

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// firstResult is what the first check of an endpoint must find.
type firstResult struct {
	name    string
	change  func(*config.HealthCheck)
	server  func(*served) // nil: nobody listens
	want    State
	failure Failure
	reason  string // part of it
}

func none(*config.HealthCheck) {}

// hasty ends soon, for servers that never answer.
func hasty(c *config.HealthCheck) { c.Timeout = 50 * time.Millisecond }

func also(changes ...func(*config.HealthCheck)) func(*config.HealthCheck) {
	return func(c *config.HealthCheck) {
		for _, change := range changes {
			change(c)
		}
	}
}

func runFirst(t *testing.T, kind config.HealthCheckType, cases []firstResult) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			address := testnet.ClosedPort(t)
			if tc.server != nil {
				address = serve(t, tc.server)
			}
			c := slow(kind)
			tc.change(&c)
			r := newRig(t)
			r.watch(address, c)
			got := r.expect(tc.want)
			if got.Failure != tc.failure || !strings.Contains(got.Reason, tc.reason) || (tc.reason == "") != (got.Reason == "") {
				t.Errorf("%s %q, want %s %q", got.Failure, got.Reason, tc.failure, tc.reason)
			}
		})
	}
}

func payload(send string, receive ...string) func(*config.HealthCheck) {
	return func(c *config.HealthCheck) { c.TCP.Send, c.TCP.Receive = send, receive }
}

func reaction(c *config.HealthCheck) { c.TCP.ExpectReaction = true }

// trickle sends a byte at a time, without end.
func trickle(conn *served) {
	for b := []byte("H"); ; {
		if _, err := conn.Write(b); err != nil {
			return
		}
		conn.pause()
	}
}

// flood sends without end.
func flood(head string) func(*served) {
	return func(conn *served) {
		io.WriteString(conn, head)
		for chunk := make([]byte, 64<<10); ; {
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}
}

func TestTCP(t *testing.T) {
	echo := func(conn *served) { io.Copy(conn, conn) }
	inPieces := func(conn *served) {
		for _, b := range []byte("..PONG...DONE") {
			conn.Write([]byte{b})
			conn.pause()
		}
	}
	runFirst(t, config.HealthCheckTCP, []firstResult{
		{"a connection is enough", none, hold, Healthy, NoFailure, ""},
		{"refused", none, nil, Unhealthy, Network, "connection refused"},
		{"echo", payload("50494e47", "50494e47"), echo, Healthy, NoFailure, ""},
		{"blocks in order with gaps, byte by byte", payload("", "504f4e47", "444f4e45"), inPieces, Healthy, NoFailure, ""},
		{"blocks in the wrong order", payload("", "444f4e45", "504f4e47"), inPieces, Unhealthy, Network, "without the expected bytes (receive[1])"},
		{"send alone", payload("50494e47"), hold, Healthy, NoFailure, ""},
		{"says nothing", also(hasty, payload("50", "51")), hold, Unhealthy, Timeout, "no whole answer came within 50ms"},
		{"other bytes without end", payload("", "51"), flood(""), Unhealthy, Network, "1048576 bytes came without"},
		{"trickles", also(hasty, payload("", "51")), trickle, Unhealthy, Timeout, "within 50ms"},
		{"closes", payload("", "51"), func(*served) {}, Unhealthy, Network, "closed without the expected bytes (receive[0])"},
		{"resets", payload("", "51"), reset, Unhealthy, Network, "connection reset"},

		{"reacts by FIN", reaction, drain, Healthy, NoFailure, ""},
		{"speaks first", reaction, says("220 hello"), Healthy, NoFailure, ""},
		{"reacts by reset", reaction, reset, Unhealthy, Network, "connection reset"},
		{"never reads", also(hasty, reaction), hold, Unhealthy, Timeout, "nothing accepts or reads there"},
		{"reaction and payload", also(reaction, payload("50", "50")), echo, Healthy, NoFailure, ""},
		{"another port", func(c *config.HealthCheck) { c.Port = 1 }, hold, Unhealthy, Network, "connection refused"},
	})
}

func httpPart(change func(*config.HTTPHealthCheck)) func(*config.HealthCheck) {
	return func(c *config.HealthCheck) { change(&c.HTTP) }
}

func TestHTTP(t *testing.T) {
	statuses := func(texts ...string) func(*config.HealthCheck) {
		return httpPart(func(h *config.HTTPHealthCheck) { h.ExpectedStatuses = texts })
	}
	long := strings.Repeat("x", 20<<10)
	runFirst(t, config.HealthCheckHTTP, []firstResult{
		{"200", none, says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Healthy, NoFailure, ""},
		{"HTTP/1.0 without a reason", none, says("HTTP/1.0 200\n\n"), Healthy, NoFailure, ""},
		{"chunked", none, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Healthy, NoFailure, ""},
		{"503", none, says("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), Unhealthy, Active, "HTTP status 503"},
		{"in a range", statuses("100-103", "200-299"), says("HTTP/1.1 299 x\r\n\r\n"), Healthy, NoFailure, ""},
		{"beside a range", statuses("200-299"), says("HTTP/1.1 300 x\r\n\r\n"), Unhealthy, Active, "HTTP status 300"},
		{"interim answers", none, says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), Healthy, NoFailure, ""},
		{"interim answers without end", none, says(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 40)), Unhealthy, Network, "interim"},
		{"degraded", none, says("HTTP/1.1 200 OK\r\nX-Envoy-Degraded: \r\n\r\n"), Degraded, NoFailure, ""},
		{"fails at once", none, says("HTTP/1.1 200 OK\r\nx-envoy-immediate-health-check-fail: true\r\n\r\n"), Unhealthy, Passive, "x-envoy-immediate"},
		{"refused", none, nil, Unhealthy, Network, "refused"},
		{"closes", none, func(conn *served) { readRequest(conn) }, Unhealthy, Network, "closed before the whole answer"},
		{"resets", none, func(conn *served) { readRequest(conn); reset(conn) }, Unhealthy, Network, "reset"},
		{"another protocol", none, says("SSH-2.0-x\r\n"), Unhealthy, Network, "not HTTP/1"},
		{"no status line", none, says("HTTP/1.1 abc\r\n\r\n"), Unhealthy, Network, "status line"},
		{"bad header", none, says("HTTP/1.1 200 OK\r\nwhat is this\r\n\r\n"), Unhealthy, Network, "header that is not valid"},
		{"two lengths", none, says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), Unhealthy, Network, "Content-Length"},
		{"headers too long", none, says("HTTP/1.1 200 OK\r\nA: " + long), Unhealthy, Network, "longer than 16384"},
		{"silent", hasty, hold, Unhealthy, Timeout, "no whole answer came within 50ms"},
		{"trickles", hasty, trickleText("HTTP/1.1 200 OK\r\nA: " + long), Unhealthy, Timeout, "within 50ms"},
		{"a body that never comes", hasty, says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), Unhealthy, Timeout, "within 50ms"},
		{"1 GB, announced", none, flood("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"), Healthy, NoFailure, ""},
		{"without end", none, flood("HTTP/1.1 200 OK\r\n\r\n"), Healthy, NoFailure, ""},
	})
}

// trickleText sends text a byte at a time.
func trickleText(text string) func(*served) {
	return func(conn *served) {
		for i := range len(text) {
			if _, err := conn.Write([]byte{text[i]}); err != nil {
				return
			}
			conn.pause()
		}
	}
}

func TestHTTPRequest(t *testing.T) {
	requests := make(chan string, 1)
	address := serve(t, func(conn *served) {
		requests <- readRequest(conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	})
	c := slow(config.HealthCheckHTTP)
	c.ReuseConnection = false
	c.HTTP = config.HTTPHealthCheck{
		Path: "/live?x=1", Method: "POST", ExpectedStatuses: []string{"200"},
		Headers: []config.HTTPHeader{{Name: "X-A", Value: "b"}, {Name: "user-agent", Value: "me"}},
	}
	r := newRig(t)
	r.options.Preamble = unknownHeader
	r.group = r.checker.NewGroup("ratings", []config.HealthCheck{c}, r.options)
	r.group.Set([]Target{{ID: 1, Address: address, Host: "ratings.example"}})
	want := "PROXY UNKNOWN\r\nPOST /live?x=1 HTTP/1.1\r\nHost: ratings.example\r\nX-A: b\r\nuser-agent: me\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	if got := receive(t, "a request", requests); got != want {
		t.Errorf("the server got\n%q, want\n%q", got, want)
	}
	r.expect(Healthy)
}

func unknownHeader(dst []byte, _, _ netip.AddrPort) []byte {
	return append(dst, "PROXY UNKNOWN\r\n"...)
}

// A plain connection carries the PROXY header too, or its server would log an
// error for each check.
func TestPreambleOfPlainTCP(t *testing.T) {
	got := make(chan string, 1)
	address := serve(t, func(conn *served) {
		all, err := io.ReadAll(conn)
		if err != nil {
			got <- err.Error()
		}
		got <- string(all)
	})
	r := newRig(t)
	r.options.Preamble = unknownHeader
	r.watch(address, slow(config.HealthCheckTCP))
	r.expect(Healthy)
	if all := receive(t, "the header", got); all != "PROXY UNKNOWN\r\n" {
		t.Errorf("the server got %q", all)
	}
}

func TestIPv6(t *testing.T) {
	l := listen(t, "[::1]:0")
	r := newRig(t)
	r.watch(l.Addr().(*net.TCPAddr).AddrPort(), slow(config.HealthCheckTCP))
	r.expect(Healthy)
	var zero netip.AddrPort
	if v := r.group.Verdict(2); v.State != Unknown || zero.IsValid() {
		t.Errorf("an endpoint that is not there is %s", v.State)
	}
}

type authorityCase struct{ cluster, host, want string }

func TestAuthority(t *testing.T) {
	for _, tc := range []authorityCase{
		{"ratings.example:80", "", "ratings.example:80"},
		{"ratings", "a.example", "a.example"},
		{"outbound|9080||ratings", "", "10.0.0.1:9080"},
		{"two words", "", "10.0.0.1:9080"},
	} {
		on := &target{Target: Target{Host: tc.host, Address: netip.MustParseAddrPort("10.0.0.1:9080")}, group: &Group{cluster: tc.cluster}}
		if got := on.authority(); got != tc.want {
			t.Errorf("cluster %q, host %q: %q, want %q", tc.cluster, tc.host, got, tc.want)
		}
	}
}
