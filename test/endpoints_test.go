package test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// manner is what a server does with a connection.
type manner int32

const (
	greets      manner = iota // speaks first, and echoes
	resets                    // when it is spoken to
	shuts                     // its own side at once
	saysNothing               // reads, and never answers
)

// server is an endpoint that the test plays itself, and whose manner it
// changes. It counts its connections.
type server struct {
	w       *world
	host    *testnet.Host
	address string
	manner  atomic.Int32
	open    atomic.Int64
	total   atomic.Int64
	l       net.Listener

	mu   sync.Mutex
	most int64 // open at a time
}

// newServer starts an endpoint that greets.
func newServer(w *world, host *testnet.Host, address string) *server {
	w.Helper()
	e := &server{w: w, host: host, address: address}
	e.listen()
	return e
}

// newServers starts n of them on the remote host, from port 7000 on.
func newServers(w *world, n int) (list []*server, addresses []string) {
	w.Helper()
	for i := range n {
		list = append(list, newServer(w, w.remote, fmt.Sprintf("%s:%d", remoteIP, 7000+i)))
		addresses = append(addresses, list[i].address)
	}
	return list, addresses
}

// listen accepts connections again after refuse.
func (e *server) listen() {
	e.w.Helper()
	e.l = e.host.Listen("tcp", e.address)
	serve(e.w, e.l, e.handle)
}

// refuse has the host's kernel refuse connections; those that are open stay.
func (e *server) refuse() { e.l.Close() }

func (e *server) be(m manner) { e.manner.Store(int32(m)) }

func (e *server) handle(conn *net.TCPConn) {
	e.count()
	defer e.open.Add(-1) // before conn is closed: nobody's place is free before that
	switch manner(e.manner.Load()) {
	case greets:
		greet(conn)
	case resets:
		// A reset that is there before the sidecar has seen the connection made
		// would be a failure to connect, which is another thing.
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.SetLinger(0)
	case shuts:
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	case saysNothing:
		_, _ = io.Copy(io.Discard, conn)
	}
}

func (e *server) count() {
	e.total.Add(1)
	open := e.open.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.most = max(e.most, open)
}

// peak is how many connections were open at a time.
func (e *server) peak() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.most
}

// tally opens connections through a sidecar, some at a time, and counts who
// served them.
func tally(w *world, from *testnet.Host, address string, connections int) map[string]int {
	w.Helper()
	const together = 4
	var mu sync.Mutex
	counts := make(map[string]int)
	var workers sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(connections))
	for range together {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				name, err := whoServes(from, &net.Dialer{Timeout: patience}, address)
				if err != nil {
					name = "nobody"
					w.Logf("connection to %s: %v", address, err)
				}
				mu.Lock()
				counts[name]++
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return counts
}

// whoServes connects, talks and closes, and returns the address of the server.
func whoServes(from *testnet.Host, dialer *net.Dialer, address string) (string, error) {
	conn, err := from.DialFrom(dialer, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hung)); err != nil {
		return "", err
	}
	name, _, err := talk(conn)
	return name, err
}

// between fails the test unless a count is within bounds.
func between(t testing.TB, what string, have, least, most int) {
	t.Helper()
	if have < least || have > most {
		t.Errorf("%s: %d, want %d to %d", what, have, least, most)
	}
}
