package daemon

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

type warmCase struct {
	name string
	end  func(*trial)
}

// Whoever ends a daemon that waits for its first health checks does not wait for
// them.
func TestEndWhileWarming(t *testing.T) {
	for _, tc := range []warmCase{
		{"by quitquitquit", func(tr *trial) { tr.daemon.Quit() }},
		{"by a signal", func(tr *trial) { tr.signals <- os.Signal(syscall.SIGTERM) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			tr := newTrial(t)
			check := config.DefaultHealthCheck()
			check.Type, check.Timeout = config.HealthCheckHTTP, time.Hour
			upstream := &tr.cfg.Clusters[0]
			upstream.HealthChecks = []config.HealthCheck{check}
			upstream.Endpoints = []config.Endpoint{{Address: config.Address(l.Addr().(*net.TCPAddr).AddrPort()), Weight: 1}}
			tr.launch()
			eventually(t, "the daemon waits", func() bool { return tr.daemon.state.Load() == initializing })
			tc.end(tr)
			tr.waitEnd()
			if tr.logs.FilterMessage("ready").Len() > 0 {
				t.Error("it went on to serve")
			}
		})
	}
}
