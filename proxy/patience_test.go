package proxy

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/outlier"
)

// server hands each connection to handle, and closes it when that returns.
func server(t *testing.T, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { defer conn.Close(); handle(conn.(*net.TCPConn)) })
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// keep has a keeper work for the chain's cluster until the test ends.
func (w *workbench) keep(chain *Chain, o cluster.KeeperOptions) {
	w.t.Helper()
	keeper := cluster.NewKeeper(o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w.t.Cleanup(func() { cancel(); running.Wait() })
	must(w.t, keeper.Keep(ctx, chain.routes[0].cluster, &running))
	running.Go(func() { keeper.Run(ctx) })
}

type patienceCase struct {
	name   string
	window time.Duration // early_close_window
	answer time.Duration // first_byte_timeout
	serve  func(*net.TCPConn)
	client func(*testing.T, net.Conn)
	want   outlier.Reason // outlier.None: nothing is held against the endpoint
}

const never = time.Hour

// What an endpoint does before its first byte, or instead of it.
func TestPatience(t *testing.T) {
	readOne := func(conn *net.TCPConn) { conn.Read(make([]byte, 1)) }
	waitEnd := func(conn *net.TCPConn) { io.Copy(io.Discard, conn) }
	seesEnd := func(_ *testing.T, client net.Conn) { client.Read(make([]byte, 1)) }
	asks := func(t *testing.T, client net.Conn) { client.Write([]byte("?")); seesEnd(t, client) }
	for _, tc := range []patienceCase{
		{"closes at once, and the client stays", never, never, func(*net.TCPConn) {}, seesEnd, outlier.ConsecutiveEarlyClose},
		{"resets", never, never, func(conn *net.TCPConn) { readOne(conn); conn.SetLinger(0) }, asks, outlier.ConsecutiveEarlyClose},
		{"closes after a byte of the client's", never, never, readOne, asks, outlier.ConsecutiveEarlyClose},
		{"closes late", 1, never, readOne, asks, outlier.None},
		{"closes after a byte of its own", never, never, func(conn *net.TCPConn) { conn.Write([]byte("!")) }, seesEnd, outlier.None},
		{"the client closes first", never, never, waitEnd, func(*testing.T, net.Conn) {}, outlier.None},
		{"is silent until late", never, 1, func(conn *net.TCPConn) {
			readOne(conn)
			readOne(conn) // the second one comes when the timeout has been noticed
			conn.Write([]byte("!"))
		}, nil, outlier.ConsecutiveFirstByteTimeout},
		{"answers", never, never, func(conn *net.TCPConn) {
			readOne(conn)
			conn.Write([]byte("!"))
			waitEnd(conn)
		}, asks, outlier.None},
		{"is silent, and was not asked", never, 1, waitEnd, func(*testing.T, net.Conn) {}, outlier.None},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkbench(t)
			chain := w.ownChain(func(cfg *config.Cluster) { impatient(cfg, &tc) }, server(t, tc.serve))
			w.keep(chain, cluster.KeeperOptions{})
			client := w.connect(&Chains{fallback: chain})
			if tc.client != nil {
				tc.client(t, client)
			} else {
				w.asksTwice(client)
			}
			if tc.want == outlier.ConsecutiveEarlyClose {
				w.detected(chain, tc.want, 1) // with the client still there
			}
			client.Close()
			w.eventually("the connection is over", func() bool { return w.live() == 0 })
			if tc.want == outlier.None {
				w.settled(chain)
			}
			for _, reason := range []outlier.Reason{outlier.ConsecutiveEarlyClose, outlier.ConsecutiveFirstByteTimeout} {
				want := uint64(0)
				if reason == tc.want {
					want = 1
				}
				w.detected(chain, reason, want)
			}
		})
	}
}

// impatient has one result detected, and only counted.
func impatient(cfg *config.Cluster, tc *patienceCase) {
	o := config.DefaultOutlierDetection()
	o.MaxEjectionPercent, o.Interval = 100, never
	o.ConsecutiveEarlyClose, o.EarlyCloseWindow = 1, tc.window
	o.ConsecutiveFirstByteTimeout, o.FirstByteTimeout = 1, tc.answer
	o.ConsecutiveLocalOriginFailure, o.EnforcingConsecutiveLocalOriginFailure = 1, 0
	o.SuccessfulActiveHealthCheckUnejectHost = false
	cfg.OutlierDetection = &o
}

// asksTwice sends a byte, another one when the first one's answer is overdue, and
// waits for the answer: the connection goes on.
func (w *workbench) asksTwice(client net.Conn) {
	w.t.Helper()
	client.Write([]byte("?"))
	w.eventually("the answer is overdue", func() (overdue bool) {
		w.loop.Do(func() { p := &w.worker.live.patience; overdue = p.asked != 0 && !p.waiting })
		return overdue
	})
	client.Write([]byte("?"))
	if _, err := client.Read(make([]byte, 1)); err != nil {
		w.t.Errorf("no answer: %v", err)
	}
}

// settled waits until all that was reported so far is detected.
func (w *workbench) settled(chain *Chain) {
	w.t.Helper()
	own := chain.routes[0].cluster
	choice, _ := own.Pick(&cluster.Query{Tried: new(cluster.Tried)})
	own.ConnectFailed(choice.Endpoint, cluster.Refused)
	w.detected(chain, outlier.ConsecutiveLocalOriginFailure, 1)
}

func (w *workbench) detected(chain *Chain, why outlier.Reason, want uint64) {
	w.t.Helper()
	w.eventually("detections of "+why.String(), func() bool {
		counts, _ := chain.routes[0].cluster.Ejections()
		return counts.Detected[why] == want
	})
}
