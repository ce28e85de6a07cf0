package proxy

import (
	"testing"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/stats"
)

type orphanCase struct {
	name     string
	change   func(c *handover.Connection)
	listener bool // the new configuration's own, as the others
	chain    bool
	cluster  bool
}

// A connection whose listener, chain or cluster is gone lives on, is logged by
// its old names, and counts where there is somebody to count it.
func TestOrphans(t *testing.T) {
	for _, tc := range []orphanCase{
		{"none", func(*handover.Connection) {}, true, true, true},
		{"listener", func(c *handover.Connection) { c.Listener = "gone" }, false, false, true},
		{"chain", func(c *handover.Connection) { c.Chain = "gone" }, true, false, true},
		{"cluster", func(c *handover.Connection) { c.Cluster = "gone" }, true, true, false},
		{"all", func(c *handover.Connection) { c.Listener, c.Chain, c.Cluster = "gone", "gone", "gone" }, false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSuccession(t, plain)
			client, server := s.connect()
			list := s.old.export(1)
			arrived := sent(t, list[0])
			tc.change(arrived)
			arrived.Direction = "outbound"
			if tc.listener && tc.chain && tc.cluster {
				arrived.Direction = "unspecified"
			}
			must(t, s.new.take(arrived))
			list[0].close()
			exchange(t, client, server)
			s.expectOrphan(&tc)

			again := s.new.export(1)
			if c := again[0]; c.Listener != arrived.Listener || c.Chain != arrived.Chain || c.Cluster != arrived.Cluster || c.Direction != arrived.Direction {
				t.Errorf("is handed on as %s %s %s %s", c.Listener, c.Chain, c.Cluster, c.Direction)
			}
			s.new.takeBack(again)
			client.Close()
			server.Close()
			s.new.eventually("it has ended", func() bool { return s.new.live() == 0 })
			r := s.new.last()
			if r.Listener != arrived.Listener || r.FilterChain != arrived.Chain || r.UpstreamCluster != arrived.Cluster ||
				r.Direction != arrived.Direction || r.BytesReceived != 5 || r.BytesSent != 5 {
				t.Errorf("is logged as %+v", r)
			}
			if h := s.new.homes; h.neutral.routes[0].cluster.Admitted() != 0 || h.orphanage.Active() != 0 {
				t.Error("places are held after the end")
			}
			s.new.expectPlaces(placesOf(0))
		})
	}
}

// expectOrphan checks who counts the one connection.
func (s *succession) expectOrphan(tc *orphanCase) {
	s.t.Helper()
	w, h := s.new, s.new.homes
	own, neutral := w.chains.fallback, h.neutral
	type counter struct {
		what         string
		mine         bool
		own, orphans int64
	}
	gauge := func(g stats.Gauge) int64 { return int64(w.counted(stats.Counter(g))) }
	bytes := func(c stats.Counter) int64 { return int64(w.counted(c)) / 5 }
	for _, c := range []counter{
		{"active of the listener", tc.listener, w.ln.Active(), h.orphanage.Active()},
		{"gauge of the listener", tc.listener, gauge(w.ln.Stats.CxActive), gauge(h.orphanage.Stats.CxActive)},
		{"gauge of the chain", tc.chain, gauge(own.tcp.CxActive), gauge(neutral.tcp.CxActive)},
		{"bytes of the chain", tc.chain, bytes(own.tcp.RxBytes), bytes(neutral.tcp.RxBytes)},
		{"places of the cluster", tc.cluster, own.routes[0].cluster.Admitted(), neutral.routes[0].cluster.Admitted()},
		{"connections of the endpoint", tc.cluster, own.routes[0].cluster.Endpoints()[0].ActiveConnections, 1},
		{"bytes of the cluster", tc.cluster, bytes(own.routes[0].cluster.Stats.RxBytes), bytes(neutral.routes[0].cluster.Stats.RxBytes)},
	} {
		switch {
		case c.mine && c.own != 1:
			s.t.Errorf("%s: %d, want 1", c.what, c.own)
		case !c.mine && (c.own != 0 || c.orphans != 1):
			s.t.Errorf("%s: %d, and %d among the orphans, want 0 and 1", c.what, c.own, c.orphans)
		}
	}
}

// Numbers never go back.
func TestContinueIDs(t *testing.T) {
	var s Surroundings
	for _, id := range []uint64{7, 3, 9} {
		s.ContinueIDs(id)
	}
	if got := s.IDs.Load(); got != 9 {
		t.Errorf("numbers go on behind %d, want 9", got)
	}
}
