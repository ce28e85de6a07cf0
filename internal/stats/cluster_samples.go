package stats

// SampleClusterCounter asks read at each scrape for a counter of a cluster that
// something else than a loop counts: envoy_cluster_NAME. Otherwise as Sample.
func (r *Registry) SampleClusterCounter(cluster, name, help string, read func() float64) {
	r.sampleCluster(cluster, family{name: name, help: help, kind: counterKind}, read)
}

// SampleClusterGauge is SampleClusterCounter for a gauge.
func (r *Registry) SampleClusterGauge(cluster, name, help string, read func() float64) {
	r.sampleCluster(cluster, family{name: name, help: help, kind: gaugeKind}, read)
}

func (r *Registry) sampleCluster(cluster string, f family, read func() float64) {
	scope := r.envoyScope("cluster", clusterLabel[0], cluster)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(scope, f, read)
}
