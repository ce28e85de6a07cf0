package daemon

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/outlier"
	"github.com/sluiceproxy/sluice/proxy"
)

// snapshot is one configuration ready to serve. It is never changed; a reload
// makes another one.
type snapshot struct {
	clusters map[string]*cluster.Cluster
	table    *listener.Table
	chains   map[*listener.Listener]*proxy.Chains
	made     time.Time
}

// Prepare finds what is wrong with a valid configuration that only the daemon's
// own tables show: filter chains that cannot stand side by side, access-log
// formats with unknown operators. It opens and binds nothing.
func Prepare(cfg *config.Config) config.Problems {
	_, problems := listener.NewTable(cfg.Listeners, stats.NewRegistry())
	problems = append(problems, checkFormats("access_log", cfg.AccessLog)...)
	for i := range cfg.Listeners {
		ln := &cfg.Listeners[i]
		for j := range ln.FilterChains {
			path := fmt.Sprintf("listeners[%d].filter_chains[%d].access_log", i, j)
			problems = append(problems, checkFormats(path, ln.FilterChains[j].AccessLog)...)
		}
		if ln.DefaultFilterChain != nil {
			path := fmt.Sprintf("listeners[%d].default_filter_chain.access_log", i)
			problems = append(problems, checkFormats(path, ln.DefaultFilterChain.AccessLog)...)
		}
	}
	return problems
}

// Warnings tells of what is allowed in a valid configuration and yet hardly
// meant: filter chains that no connection reaches, connections that no chain
// takes although one seems to, outlier detection that ejects nobody. With very many chains it takes some seconds.
func Warnings(cfg *config.Config) []string {
	var lines []string
	for i := range cfg.Listeners {
		ln := &cfg.Listeners[i]
		index, problems := listener.NewIndex(ln.FilterChains, ln.DefaultFilterChain != nil)
		if len(problems) > 0 {
			continue // Prepare tells
		}
		for _, line := range index.Warnings() {
			lines = append(lines, fmt.Sprintf("listeners[%d].%s", i, line))
		}
	}
	return append(lines, outlierWarnings(cfg)...)
}

// outlierWarnings tells of outlier detection that ejects nobody.
func outlierWarnings(cfg *config.Config) []string {
	var lines []string
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		if c.OutlierDetection == nil {
			continue
		}
		for _, line := range outlier.Warnings(outlier.SettingsOf(c.OutlierDetection), endpointsKnown(c)) {
			lines = append(lines, fmt.Sprintf("clusters[%d].outlier_detection: %s", i, line))
		}
	}
	return lines
}

// endpointsKnown is how many endpoints a cluster will have, 0 where DNS decides.
func endpointsKnown(c *config.Cluster) int {
	if c.Type != config.ClusterStatic {
		return 0
	}
	return len(c.Endpoints)
}

func checkFormats(path string, logs []config.AccessLog) config.Problems {
	var problems config.Problems
	for i, l := range logs {
		if err := accesslog.CheckFormat(l.Format); err != nil {
			problems = append(problems, config.Problem{Path: fmt.Sprintf("%s[%d].format", path, i), Message: err.Error()})
		}
	}
	return problems
}

func (d *Daemon) newSnapshot() (*snapshot, error) {
	s := &snapshot{
		clusters: make(map[string]*cluster.Cluster),
		chains:   make(map[*listener.Listener]*proxy.Chains),
		made:     time.Now(),
	}
	for i := range d.cfg.Clusters {
		cfg := &d.cfg.Clusters[i]
		upstream, err := cluster.New(cfg, d.registry.Cluster(cfg.Name))
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", cfg.Name, err)
		}
		s.clusters[cfg.Name] = upstream
	}
	var problems config.Problems
	if s.table, problems = listener.NewTable(d.cfg.Listeners, d.registry); len(problems) > 0 {
		return nil, d.explain(problems)
	}
	materials := &proxy.Materials{
		Clusters: s.clusters,
		Registry: d.registry,
		Files:    d.files,
		Loops:    d.loops,
		Default:  d.cfg.AccessLog,
	}
	for _, ln := range s.table.Listeners() {
		chains, err := proxy.NewChains(ln.Config, materials)
		if err != nil {
			return nil, err
		}
		s.chains[ln] = chains
		ln.Serve = func(loop int, a listener.Accepted) { d.workers[loop].Serve(a, chains) }
	}
	return s, nil
}

func (d *Daemon) explain(problems config.Problems) error {
	if d.options.Explain == nil {
		return problems
	}
	return d.options.Explain(problems)
}
