package proxy

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// withHeader is the workbench's chain with a PROXY v1 header for the echo server,
// which sends it back.
func (w *workbench) withHeader() *Chain {
	w.t.Helper()
	chain := *w.chains.fallback
	chain.routes = append([]route(nil), chain.routes...)
	old := chain.routes[0].cluster
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type, cfg.ProxyProtocol = old.Name, config.ClusterStatic, config.ProxyProtocolV1
	cfg.Endpoints = []config.Endpoint{{Address: config.Address(old.Endpoints()[0].Address), Weight: 1}}
	var err error
	chain.routes[0].cluster, err = cluster.New(&cfg, old.Stats)
	must(w.t, err)
	return &chain
}

// The header goes out although the client is silent, once, and only the cluster
// counts it.
func TestHeaderComesFirst(t *testing.T) {
	w := newWorkbench(t)
	chain := w.withHeader()
	client := w.connect(&Chains{fallback: chain})
	from := client.LocalAddr().(*net.TCPAddr).AddrPort()
	want := fmt.Sprintf("PROXY TCP4 %s %s %d %d\r\n", from.Addr(), w.addr.Addr(), from.Port(), w.addr.Port())
	got := make([]byte, len(want))
	_, err := io.ReadFull(client, got)
	must(t, err)
	if string(got) != want {
		t.Errorf("the endpoint got %q first, want %q", got, want)
	}
	w.echoes(client, "hello")
	var info Info
	sums := make([]uint64, 4096)
	w.loop.Do(func() {
		info = w.worker.Inspect("app", 1)[0]
		w.loop.Shard.AddTo(sums)
	})
	if info.Received != 5 || info.Sent != uint64(len(want)+5) {
		t.Errorf("the connection counts %d bytes received and %d sent, want 5 and %d", info.Received, info.Sent, len(want)+5)
	}
	if n := sums[chain.routes[0].cluster.Stats.TxBytes]; n != uint64(len(want)+5) {
		t.Errorf("the cluster counts %d bytes sent, want %d", n, len(want)+5)
	}
}

// What the socket does not take whole makes the attempt fail, and a full buffer
// is not the endpoint's fault.
func TestHeaderThatIsNotSent(t *testing.T) {
	type failCase struct {
		name  string
		spoil func(fd int)
		errno sock.Errno
		fault cluster.Fault
	}
	for _, tc := range []failCase{
		{"closed", func(fd int) { sock.CloseWrite(fd) }, sock.EPIPE, cluster.EndpointAtFault},
		{"full", fill, sock.ENOBUFS, cluster.HostAtFault},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkbench(t)
			// Not TCP: its acknowledgements would make room again.
			ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
			must(t, err)
			defer sock.Close(ends[0])
			defer sock.Close(ends[1])
			tc.spoil(ends[0])
			c := &Connection{worker: w.worker, route: &w.withHeader().routes[0]}
			c.fds = relay.Sockets{-1, ends[0]}
			err = c.introduce()
			if sock.ErrnoOf(err) != tc.errno || cluster.Blame(err) != tc.fault {
				t.Errorf("%v, the %s's fault; want %v, the %s's", err, cluster.Blame(err), tc.errno, tc.fault)
			}
		})
	}
}

// fill writes until the socket takes no more.
func fill(fd int) {
	for buffer, errno := make([]byte, 1<<20), sock.Errno(0); errno == 0; {
		_, errno = sock.Write(fd, buffer)
	}
}
