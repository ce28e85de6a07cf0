package daemon

import (
	"time"

	"github.com/sluiceproxy/sluice/config"
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
	r.Sample(stats.ListenersActive, func() float64 { return float64(len(d.snapshot.Load().Config.Listeners)) })
	r.Sample(stats.ClustersActive, func() float64 { return float64(len(d.snapshot.Load().Config.Clusters)) })
	r.Sample(stats.AccessLogDropped, func() float64 { return float64(d.files.Dropped()) })
	r.Sample(stats.ConfigReloads, d.reloads.count(func(r *reloads) uint64 { return r.good }), "success")
	r.Sample(stats.ConfigReloads, d.reloads.count(func(r *reloads) uint64 { return r.bad }), "failure")
	r.Sample(stats.ConfigRejected, func() float64 { return oneIf(d.reloads.last() != nil) })
	r.Sample(stats.ServerGeneration, func() float64 { return float64(d.epoch) })
	r.Sample(stats.UpgradesFailed, func() float64 { return float64(d.upgrades.failed.Load()) })
	r.Sample(stats.UpgradeConnections, func() float64 { return float64(d.taken.Load()) })
	r.Sample(stats.DrainActive, func() float64 { return oneIf(d.state.Load() == draining) })
	for _, direction := range config.Directions() {
		r.Sample(stats.DrainConnections, func() float64 { return d.waitedFor(direction) }, string(direction))
	}
	first := d.snapshot.Load()
	for i := range first.Config.Clusters {
		cfg := &first.Config.Clusters[i]
		d.sampleCluster(first.clusters[cfg.Name], cfg)
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
