package stats

import "math"

// Sampled names a value that is asked for at each scrape, because something
// else than a loop knows it.
type Sampled uint8

// The sampled values. In brackets: the label values that Registry.Sample
// wants for it.
const (
	ServerUptime             Sampled = iota // seconds
	ServerLive                              // 1 unless draining
	ServerState                             // Envoy's ServerInfo.State: 0 live, 1 draining, 2 pre-initializing, 3 initializing
	ServerConcurrency                       // event loops
	ServerVersion                           // a number made of the version
	ServerTotalConnections                  // downstream connections, those of a parent included
	ServerParentConnections                 // held by the process this one takes over from
	ServerGeneration                        // processes before this one that were upgraded in place
	ServerMemoryAllocated                   // bytes
	ServerMemoryHeapSize                    // bytes
	ServerMemoryPhysicalSize                // bytes
	ListenersActive
	ClustersActive
	ClusterMembershipTotal    // [cluster]
	ClusterMembershipHealthy  // [cluster]
	ClusterMembershipDegraded // [cluster]
	ClusterCxOpen             // [cluster] 1 while max_connections is reached
	ClusterRemainingCx        // [cluster]
	ChecksSkipped             // [cluster] health checks that this host could not make
	ChecksLate                // [cluster] health checks that began late
	ConfigReloads             // [result] success or failure
	ConfigRejected            // 1 while the last reload was rejected
	UpgradesFailed            // in place, after which this process went on
	UpgradeConnections        // taken over from the process before
	DrainActive               // 1 while the daemon drains
	DrainConnections          // [direction] that a drain waits for; 0 before it
	AccessLogDropped          // lines
	ConntrackEntries
	ConntrackLimit
	ConntrackInsertFailed
	BuildInfo      // [version, Go version] always 1
	LookupTimeouts // [cluster] DNS lookups that no server answered in time
	LookupsPartial // [cluster] DNS lookups that left one address family as it was
	LookupsCapped  // [cluster] DNS lookups that found too many addresses

	// With a store for sockets (docs/upgrade.md).
	StoreConnected // 1 while the store can be reached
	StoreEntries   // connections and listening sockets in it
	StoreFailures  // entries that it has refused, and times that it was lost
	StoreTakeovers // [outcome] connections of a process that was killed: recovered or reset
)

type sampledSpec struct {
	prefix, stat string
	kind         kind
	labels       []string
	help         string
}

var sampledSpecs = [...]sampledSpec{
	ServerUptime:             {"server", "uptime", gaugeKind, nil, "Seconds since the start."},
	ServerLive:               {"server", "live", gaugeKind, nil, "1 unless the server is draining."},
	ServerState:              {"server", "state", gaugeKind, nil, "State: 0 live, 1 draining, 2 pre-initializing, 3 initializing."},
	ServerConcurrency:        {"server", "concurrency", gaugeKind, nil, "Event loops."},
	ServerVersion:            {"server", "version", gaugeKind, nil, "Version as a number."},
	ServerTotalConnections:   {"server", "total_connections", gaugeKind, nil, "Downstream connections, those of a parent process included."},
	ServerParentConnections:  {"server", "parent_connections", gaugeKind, nil, "Downstream connections of the parent process."},
	ServerGeneration:         {"server", "hot_restart_generation", gaugeKind, nil, "Processes before this one, each of which was upgraded in place."},
	ServerMemoryAllocated:    {"server", "memory_allocated", gaugeKind, nil, "Bytes of live heap objects."},
	ServerMemoryHeapSize:     {"server", "memory_heap_size", gaugeKind, nil, "Bytes reserved for the heap."},
	ServerMemoryPhysicalSize: {"server", "memory_physical_size", gaugeKind, nil, "Bytes of memory that the runtime holds from the system."},
	ListenersActive:          {"listener_manager", "total_listeners_active", gaugeKind, nil, "Listeners configured."},
	ClustersActive:           {"cluster_manager", "active_clusters", gaugeKind, nil, "Clusters configured."},

	ClusterMembershipTotal:    {"cluster", "membership_total", gaugeKind, clusterLabel, "Endpoints of the cluster."},
	ClusterMembershipHealthy:  {"cluster", "membership_healthy", gaugeKind, clusterLabel, "Healthy endpoints of the cluster."},
	ClusterMembershipDegraded: {"cluster", "membership_degraded", gaugeKind, clusterLabel, "Degraded endpoints of the cluster."},
	ClusterCxOpen:             {"cluster", "circuit_breakers_default_cx_open", gaugeKind, clusterLabel, "1 while max_connections is reached."},
	ClusterRemainingCx:        {"cluster", "circuit_breakers_default_remaining_cx", gaugeKind, clusterLabel, "Connections left until max_connections."},

	ChecksSkipped: {"", "health_check_skipped_total", counterKind, []string{"cluster"}, "Health checks not made, or void, through a fault of this host."},
	ChecksLate:    {"", "health_check_late_total", counterKind, []string{"cluster"}, "Health checks that began more than a tenth of their interval late."},

	ConfigReloads:         {"", "config_reload_total", counterKind, []string{"result"}, "Configuration reloads."},
	ConfigRejected:        {"", "config_rejected", gaugeKind, nil, "1 while the last reload was rejected."},
	UpgradesFailed:        {"", "upgrade_failed_total", counterKind, nil, "Upgrades in place that failed; this process went on."},
	UpgradeConnections:    {"", "upgrade_taken_connections_total", counterKind, nil, "Live connections taken over from the process before."},
	DrainActive:           {"", "drain_active", gaugeKind, nil, "1 while the daemon drains."},
	DrainConnections:      {"", "drain_connections", gaugeKind, []string{"direction"}, "Connections that the drain still waits for, by the direction of their listener."},
	AccessLogDropped:      {"", "access_log_dropped_lines_total", counterKind, nil, "Access-log lines dropped because their file could not keep up."},
	ConntrackEntries:      {"", "conntrack_entries", gaugeKind, nil, "Connections that netfilter tracks in this network namespace."},
	ConntrackLimit:        {"", "conntrack_entries_limit", gaugeKind, nil, "Connections that netfilter can track."},
	ConntrackInsertFailed: {"", "conntrack_insert_failed_total", counterKind, nil, "Connections that netfilter failed to track."},
	BuildInfo:             {"", "build_info", gaugeKind, []string{"version", "goversion"}, "What is running; always 1."},

	LookupTimeouts: {"", "dns_timeout_total", counterKind, []string{"cluster"}, "DNS lookups that no server answered in time."},
	LookupsPartial: {"", "dns_partial_total", counterKind, []string{"cluster"}, "DNS lookups in which one address family could not be asked for."},
	LookupsCapped:  {"", "dns_capped_total", counterKind, []string{"cluster"}, "DNS lookups of which addresses beyond 5,000 were left out."},

	StoreConnected: {"", "store_connected", gaugeKind, nil, "1 while the store for sockets can be reached."},
	StoreEntries:   {"", "store_entries", gaugeKind, nil, "Connections and listening sockets in the store."},
	StoreFailures:  {"", "store_failures_total", counterKind, nil, "Entries that the store has refused, and times that it was lost."},
	StoreTakeovers: {"", "store_takeover_total", counterKind, []string{"outcome"}, "Connections found in the store that a process which was killed has left."},
}

var clusterLabel = []string{"envoy_cluster_name"}

// Sample asks read at each scrape, from the scraping goroutine. NaN means that
// the value is not to be had now; the series is then left out. A second call
// for the same value and labels replaces the first. It panics when the number
// of label values is not what the value has.
func (r *Registry) Sample(what Sampled, read func() float64, labelValues ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	scope, family := r.sampledScope(what, labelValues)
	r.add(scope, family, read)
}

// Forget ends what Sample began, for example when a cluster is removed.
func (r *Registry) Forget(what Sampled, labelValues ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	scope, family := r.sampledScope(what, labelValues)
	// The entry stays, so that the indexes of the others stay true.
	if _, exists := r.index[seriesKey{r.family(scope, family), scope}]; exists {
		r.add(scope, family, func() float64 { return math.NaN() })
	}
}

func (r *Registry) sampledScope(what Sampled, values []string) (*scope, family) {
	spec := sampledSpecs[what]
	if len(values) != len(spec.labels) {
		panic("stats: " + spec.stat + " has labels " + prometheusName("", spec.labels, spec.labels))
	}
	f := family{stat: spec.stat, help: spec.help, kind: spec.kind}
	switch {
	case spec.prefix == "":
		return r.scope(naming{prefix: "sluice_", labels: spec.labels, values: cleanAll(values)}), f
	case len(values) == 1:
		return r.envoyScope(spec.prefix, spec.labels[0], values[0]), f
	}
	return r.scope(naming{prefix: "envoy_" + spec.prefix + "_", text: spec.prefix + "."}), f
}

func cleanAll(values []string) []string {
	cleaned := make([]string, len(values))
	for i, v := range values {
		cleaned[i] = clean(v)
	}
	return cleaned
}
