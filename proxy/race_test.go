package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
)

// mute is a listening socket whose queue is full: connecting to it takes until
// somebody accepts.
func mute(t *testing.T, address netip.AddrPort) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}))
	must(t, unix.Listen(fd, 0))
	// A backlog of 0 has room for one connection.
	conn, err := net.Dial("tcp4", address.String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return fd
}

// racers is a chain to a logical_dns cluster of one name with these addresses in
// this order.
func (w *workbench) racers(port uint16, addresses ...string) *Chain {
	w.t.Helper()
	hosts := filepath.Join(w.t.TempDir(), "hosts")
	lines := ""
	for _, a := range addresses {
		lines += a + " app.example\n"
	}
	must(w.t, os.WriteFile(hosts, []byte(lines), 0o600))
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type = "app", config.ClusterLogicalDNS
	cfg.DNS.LookupFamily = config.LookupV4Preferred
	cfg.ConnectTimeout = 30 * time.Second
	endpoint := config.DefaultEndpoint()
	endpoint.Address = config.Host("app.example", port)
	cfg.Endpoints = []config.Endpoint{endpoint}
	chain := *w.chains.fallback
	chain.routes = append([]route(nil), chain.routes...)
	made, err := cluster.New(&cfg, chain.routes[0].cluster.Stats)
	must(w.t, err)
	keeper := cluster.NewKeeper(cluster.KeeperOptions{Hosts: hosts})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w.t.Cleanup(func() { cancel(); running.Wait() })
	must(w.t, keeper.Keep(ctx, made, &running))
	made.Warm(ctx)
	chain.routes[0].cluster = made
	return &chain
}

type raceCase struct {
	name      string
	mute      []string // these do not answer
	addresses []string
	want      string // "" = none
}

// The first address that answers is taken, within one attempt, and nothing is
// left of the others.
func TestRace(t *testing.T) {
	for _, tc := range []raceCase{
		{"the first", nil, []string{"127.0.0.1", "127.0.0.2"}, "127.0.0.1"},
		{"the second, because the first refuses", nil, []string{"127.0.0.2", "127.0.0.1"}, "127.0.0.1"},
		{"the second, because the first is silent", []string{"127.0.0.2"}, []string{"127.0.0.2", "127.0.0.1"}, "127.0.0.1"},
		{"the third, beside a silent one", []string{"127.0.0.2"}, []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, "127.0.0.1"},
		{"none, because all refuse", nil, []string{"127.0.0.2", "127.0.0.3"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkbench(t)
			port := w.chains.fallback.routes[0].cluster.Endpoints()[0].Address.Port() // of the echo server
			for _, a := range tc.mute {
				mute(t, netip.AddrPortFrom(netip.MustParseAddr(a), port))
			}
			chain := w.racers(port, tc.addresses...)
			client := w.connect(&Chains{fallback: chain})
			if tc.want == "" {
				w.eventually("the client is reset", func() bool { _, err := client.Read(make([]byte, 1)); return isReset(err) })
			} else {
				w.raceWonBy(client, fmt.Sprintf("%s:%d", tc.want, port))
			}
			client.Close()
			w.eventually("nothing is left", func() bool {
				return w.live() == 0 && chain.routes[0].cluster.Admitted() == 0 && chain.routes[0].cluster.Pending() == 0
			})
			if e := chain.routes[0].cluster.Endpoints(); len(e) != 1 || e[0].TotalConnections != 1 || e[0].ActiveConnections != 0 {
				t.Errorf("endpoints %+v, want one attempt", e)
			}
		})
	}
}

// raceWonBy checks where the connection went.
func (w *workbench) raceWonBy(client net.Conn, want string) {
	w.t.Helper()
	if _, err := client.Write([]byte("x")); err != nil {
		w.t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err != nil {
		w.t.Fatal(err)
	}
	w.loop.Do(func() {
		var r accesslog.Record
		w.worker.live.fill(&r)
		if r.UpstreamHost.String() != want || r.ConnectAttempts != 1 || w.worker.live.dialling.race.running() {
			w.t.Errorf("connected to %s in %d attempts, want %s in one", r.UpstreamHost, r.ConnectAttempts, want)
		}
	})
}

// An address that was overtaken may still answer first.
func TestRaceWonByTheOlder(t *testing.T) {
	w := newWorkbench(t)
	port := w.addr.Port() + 1
	first := mute(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port))
	mute(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), port))
	chain := w.racers(port, "127.0.0.2", "127.0.0.3")
	client := w.connect(&Chains{fallback: chain})
	both := func() (running bool) {
		w.loop.Do(func() { running = w.worker.live != nil && w.worker.live.dialling.race.running() })
		return running
	}
	w.eventually("both are being connected", both)
	filler, _, err := unix.Accept(first) // makes room: the next SYN is answered
	must(t, err)
	unix.Close(filler)
	w.eventually("the older one has won", func() bool {
		won := false
		w.loop.Do(func() {
			c := w.worker.live
			won = c != nil && c.state == relaying && c.dialling.endpoint.Address.Addr().String() == "127.0.0.2" && !c.dialling.race.running()
		})
		return won
	})
	client.Close()
	ours, _, err := unix.Accept(first)
	must(t, err)
	unix.Close(ours)
	w.eventually("nothing is left", func() bool { return w.live() == 0 && chain.routes[0].cluster.Admitted() == 0 })
}
