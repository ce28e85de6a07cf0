package daemon

import (
	"fmt"
	"reflect"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/outlier"
	"github.com/sluiceproxy/sluice/proxy"
)

// Loaded is a valid configuration, and what belongs to it.
type Loaded struct {
	Config  *config.Config
	Dump    func() any                  // the configuration for /config_dump
	Explain func(config.Problems) error // puts file and line to config.Problems; nil: as they are
}

// explain is Explain where there is one.
func (l *Loaded) explain(problems config.Problems) error {
	if l.Explain == nil {
		return problems
	}
	return l.Explain(problems)
}

// snapshot is one configuration ready to serve. It is never changed; a reload
// makes another one.
type snapshot struct {
	*Loaded
	clusters  map[string]*cluster.Cluster
	table     *listener.Table
	chains    map[string]*proxy.Chains // by listener
	homes     *proxy.Homes             // for connections of other processes; nil where none can come
	unmatched *accesslog.Logger        // for connections that never came to a filter chain
	made      time.Time
}

// Prepare finds what is wrong with a valid configuration that only the daemon's
// own tables show: filter chains that cannot stand side by side, access-log
// formats with unknown operators. It opens and binds nothing.
func Prepare(cfg *config.Config) config.Problems {
	_, problems := listener.NewTable(cfg.Listeners, stats.NewRegistry())
	return append(problems, CheckAccessLogs(cfg)...)
}

// CheckAccessLogs is the part of Prepare that New does not do with all problems at
// once. Tables of many chains take long to make, and New makes them anyway.
func CheckAccessLogs(cfg *config.Config) config.Problems {
	problems := checkFormats("access_log", cfg.AccessLog)
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

// newSnapshot makes what a configuration asks for, out of what there is already
// where that is the same: clusters keep what they know of their endpoints, chains
// their limits, listeners their tables. Previous is nil at the start.
func (d *Daemon) newSnapshot(loaded *Loaded, previous *snapshot) (*snapshot, error) {
	cfg := loaded.Config
	s := &snapshot{Loaded: loaded, chains: make(map[string]*proxy.Chains), made: time.Now()}
	var err error
	if s.unmatched, err = d.files.Logger(cfg.AccessLog); err != nil {
		return nil, fmt.Errorf("access_log: %w", err)
	}
	if s.clusters, err = d.newClusters(cfg.Clusters, previous); err != nil {
		return nil, err
	}
	table := new(listener.Table)
	materials := d.materials(cfg, s.clusters)
	if previous != nil {
		table = previous.table
		materials.PreviousDefault = previous.Config.AccessLog
		materials.Previous = func(listener string) *proxy.Chains { return previous.chains[listener] }
	}
	var problems config.Problems
	if s.table, problems = table.Next(cfg.Listeners, d.registry); len(problems) > 0 {
		return nil, loaded.explain(problems)
	}
	for _, ln := range s.table.Listeners() {
		chains, err := proxy.NewChains(ln.Config, materials)
		if err != nil {
			return nil, err
		}
		s.chains[ln.Config.Name] = chains
		ln.Serve = func(loop int, a listener.Accepted) { d.workers[loop].Serve(a, chains) }
	}
	if d.keeping != nil || d.options.Upgrade.From != "" {
		if s.homes, err = proxy.NewHomes(s.table, s.chains, materials); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// materials are what chains of a configuration are made of.
func (d *Daemon) materials(cfg *config.Config, clusters map[string]*cluster.Cluster) *proxy.Materials {
	return &proxy.Materials{
		Clusters: clusters,
		Registry: d.registry,
		Files:    d.files,
		Loops:    d.loops,
		Default:  cfg.AccessLog,
	}
}

// newClusters makes the clusters, but for those that are as they were.
func (d *Daemon) newClusters(configs []config.Cluster, previous *snapshot) (map[string]*cluster.Cluster, error) {
	before := make(map[string]*config.Cluster)
	if previous != nil {
		for i := range previous.Config.Clusters {
			before[previous.Config.Clusters[i].Name] = &previous.Config.Clusters[i]
		}
	}
	clusters := make(map[string]*cluster.Cluster, len(configs))
	for i := range configs {
		cfg := &configs[i]
		if old := before[cfg.Name]; old != nil && reflect.DeepEqual(old, cfg) {
			clusters[cfg.Name] = previous.clusters[cfg.Name]
			continue
		}
		upstream, err := cluster.New(cfg, d.registry.Cluster(cfg.Name))
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", cfg.Name, err)
		}
		clusters[cfg.Name] = upstream
	}
	return clusters, nil
}
