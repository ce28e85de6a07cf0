package daemon

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/stats"
)

// sample names the values that no loop counts.
func (d *Daemon) sample() {
	r := d.registry
	number := func(n float64) func() float64 { return func() float64 { return n } }
	r.SampleProcess(d.started, d.options.Version)
	r.Sample(stats.ServerState, func() float64 { return float64(d.state.Load()) })
	r.Sample(stats.ServerLive, func() float64 {
		if d.state.Load() == live {
			return 1
		}
		return 0
	})
	r.Sample(stats.ServerConcurrency, number(float64(len(d.loops))))
	r.Sample(stats.ServerTotalConnections, func() float64 { return float64(d.around.Limits.Active()) })
	r.Sample(stats.ListenersActive, number(float64(len(d.cfg.Listeners))))
	r.Sample(stats.ClustersActive, number(float64(len(d.cfg.Clusters))))
	r.Sample(stats.AccessLogDropped, func() float64 { return float64(d.files.Dropped()) })
	r.Sample(stats.ConfigReloads, number(0), "success")
	r.Sample(stats.ConfigReloads, number(0), "failure")
	for i := range d.cfg.Clusters {
		d.sampleCluster(d.snapshot.clusters[d.cfg.Clusters[i].Name], &d.cfg.Clusters[i])
	}
}

// gather sums what the loops have counted. Each loop adds its own values, on its
// own thread, between two turns.
func (d *Daemon) gather(sum []uint64) {
	for i := range d.loops {
		loop := &d.loops[i]
		var busy time.Duration
		loop.Do(func() {
			loop.Shard.AddTo(sum)
			busy = loop.Busy()
		})
		sum[loop.Stats.BusyNanos] += uint64(busy)
	}
}
