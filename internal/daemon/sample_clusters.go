package daemon

import (
	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/cluster/dns"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/healthcheck"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// sampleCluster names what a cluster itself knows. What it has no use for is
// left out: thousands of clusters have nothing to say about health checks.
func (d *Daemon) sampleCluster(c *cluster.Cluster, cfg *config.Cluster) {
	r := d.registry
	r.Sample(stats.ClusterMembershipTotal, func() float64 { total, _, _ := c.Membership(); return float64(total) }, c.Name)
	r.Sample(stats.ClusterMembershipHealthy, func() float64 { _, healthy, _ := c.Membership(); return float64(healthy) }, c.Name)
	r.Sample(stats.ClusterMembershipDegraded, func() float64 { _, _, degraded := c.Membership(); return float64(degraded) }, c.Name)
	r.SampleClusterCounter(c.Name, "membership_change", "Changes of the set of endpoints.", func() float64 { return float64(c.Changes()) })
	d.sampleBreakers(c, &cfg.CircuitBreakers)
	if len(cfg.HealthChecks) > 0 {
		d.sampleChecks(c)
	}
	if cfg.OutlierDetection != nil {
		d.sampleEjections(c)
	}
	if cfg.Type == config.ClusterStrictDNS || cfg.Type == config.ClusterLogicalDNS {
		d.sampleLookups(c)
	}
}

func (d *Daemon) sampleBreakers(c *cluster.Cluster, limits *config.CircuitBreakers) {
	r := d.registry
	r.Sample(stats.ClusterRemainingCx, func() float64 { return float64(c.MaxConnections() - c.Admitted()) }, c.Name)
	r.Sample(stats.ClusterCxOpen, func() float64 { return oneIf(c.Admitted() >= c.MaxConnections()) }, c.Name)
	r.SampleClusterGauge(c.Name, "circuit_breakers_default_rq_pending_open", "1 while max_pending is reached.",
		func() float64 { return oneIf(c.Pending() >= c.MaxPending()) })
	if limits.TrackRemaining {
		r.SampleClusterGauge(c.Name, "circuit_breakers_default_remaining_pending", "Connections being dialled that are left until max_pending.",
			func() float64 { return float64(c.MaxPending() - c.Pending()) })
	}
}

func (d *Daemon) sampleChecks(c *cluster.Cluster) {
	type count struct {
		name, help string
		of         func(*healthcheck.Counts) uint64
	}
	for _, n := range []count{
		{"health_check_attempt", "Health checks made.", func(h *healthcheck.Counts) uint64 { return h.Attempt }},
		{"health_check_success", "Health checks passed.", func(h *healthcheck.Counts) uint64 { return h.Success }},
		{"health_check_failure", "Health checks failed, of any kind.", func(h *healthcheck.Counts) uint64 { return h.Failure }},
		{"health_check_passive_failure", "Health checks failed by x-envoy-immediate-health-check-fail.", func(h *healthcheck.Counts) uint64 { return h.PassiveFailure }},
		{"health_check_network_failure", "Health checks that had no answer.", func(h *healthcheck.Counts) uint64 { return h.NetworkFailure }},
	} {
		d.registry.SampleClusterCounter(c.Name, n.name, n.help, func() float64 {
			counts, _ := c.Checks()
			return float64(n.of(&counts))
		})
	}
	d.registry.SampleClusterGauge(c.Name, "health_check_healthy", "Endpoints that pass.", func() float64 {
		counts, _ := c.Checks()
		return float64(counts.Healthy)
	})
	d.registry.Sample(stats.ChecksSkipped, func() float64 { counts, _ := c.Checks(); return float64(counts.Skipped) }, c.Name)
	d.registry.Sample(stats.ChecksLate, func() float64 { counts, _ := c.Checks(); return float64(counts.Late) }, c.Name)
}

// sampleEjections exports the detector's counts by the names that it has for
// them; the first is a gauge.
func (d *Daemon) sampleEjections(c *cluster.Cluster) {
	counts, _ := c.Ejections()
	counts.Each(func(name string, _ uint64) {
		read := func() (value float64) {
			counts, _ := c.Ejections()
			counts.Each(func(n string, v uint64) {
				if n == name {
					value = float64(v)
				}
			})
			return value
		}
		if name == "ejections_active" {
			d.registry.SampleClusterGauge(c.Name, "outlier_detection_"+name, "Endpoints ejected now.", read)
			return
		}
		d.registry.SampleClusterCounter(c.Name, "outlier_detection_"+name, "Outlier detection: see docs/outlier.md.", read)
	})
}

func (d *Daemon) sampleLookups(c *cluster.Cluster) {
	type count struct {
		name, help string
		of         func(*dns.Counters) uint64
	}
	for _, n := range []count{
		{"update_attempt", "DNS lookups.", func(l *dns.Counters) uint64 { return l.Attempts }},
		{"update_success", "DNS lookups that gave addresses.", func(l *dns.Counters) uint64 { return l.Success }},
		{"update_failure", "DNS lookups after which the last addresses were kept.", func(l *dns.Counters) uint64 { return l.Failure }},
		{"update_empty", "DNS lookups of names that do not exist or have no address.", func(l *dns.Counters) uint64 { return l.Empty }},
		{"update_no_rebuild", "DNS lookups that changed nothing.", func(l *dns.Counters) uint64 { return l.NoRebuild }},
	} {
		d.registry.SampleClusterCounter(c.Name, n.name, n.help, func() float64 {
			sum, _ := c.Lookups()
			return float64(n.of(&sum))
		})
	}
	d.registry.Sample(stats.LookupTimeouts, func() float64 { sum, _ := c.Lookups(); return float64(sum.Timeout) }, c.Name)
	d.registry.Sample(stats.LookupsPartial, func() float64 { sum, _ := c.Lookups(); return float64(sum.Partial) }, c.Name)
	d.registry.Sample(stats.LookupsCapped, func() float64 { sum, _ := c.Lookups(); return float64(sum.Capped) }, c.Name)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
